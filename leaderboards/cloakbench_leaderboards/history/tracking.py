"""Series through a history: one for each protection, attack and operating point, with the steps in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cloakbench_leaderboards.history import steps
from cloakbench_leaderboards.history.history import HistoryPoint, MeasuredScore
from cloakbench_leaderboards.history.steps import Piece
from cloakbench_leaderboards.scores.statistics import MIN_ARTISTS


class LevelChange(NamedTuple):
    """One level giving way to another."""

    point: HistoryPoint
    """The first one on the new level."""
    attack: str
    at: str
    before: float
    after: float

    @property
    def has_fallen(self) -> bool:
        """Whether P became less."""
        return self.after < self.before


@dataclass(frozen=True)
class ScoreHistory:
    """P of one protection under one attack over time, in one suite version and environment."""

    attack: str
    at: str
    points: tuple[HistoryPoint, ...]
    values: tuple[MeasuredScore, ...]
    pieces: tuple[Piece, ...]
    """Levels; one piece where too few artists were measured to speak of steps."""
    has_regressed: bool
    """Whether the last level is below the best one by the suite's margin or more."""

    @property
    def steps(self) -> list[LevelChange]:
        """What happened, the oldest first."""
        return [
            LevelChange(self.points[new.start], self.attack, self.at, old.level, new.level)
            for old, new in zip(self.pieces, self.pieces[1:], strict=False)
        ]


@dataclass(frozen=True)
class Track:
    """One protection in one suite version and environment: its points and its series."""

    points: tuple[HistoryPoint, ...]
    """The oldest first."""
    series: tuple[ScoreHistory, ...]

    @property
    def identity(self) -> tuple[str, ...]:
        """What tells it from the others, for anchors and ids."""
        return _track(self.points[0])


def tracks(points: Iterable[HistoryPoint], margin: float, attacks: Sequence[str] = ()) -> list[Track]:
    """Returns the tracks of a history, sorted; attacks in the order of `attacks`, others after them.

    `margin` is the least step that matters.
    """
    grouped: dict[tuple[str, ...], list[HistoryPoint]] = {}
    for each in points:
        grouped.setdefault(_track(each), []).append(each)
    found = []
    for _, group in sorted(grouped.items()):
        ordered = sorted(group, key=lambda each: (each.measured, each.identity))
        names = {value.attack for each in ordered for value in each.values}
        known = [*(name for name in attacks if name in names), *sorted(names - set(attacks))]
        found.append(Track(tuple(ordered), tuple(_series(name, ordered, margin) for name in known)))
    return found


def _track(point: HistoryPoint) -> tuple[str, ...]:
    return (point.suite, f"{point.suite_version:06}", point.protection, point.env_class, point.salt)


def _series(attack: str, ordered: Sequence[HistoryPoint], margin: float) -> ScoreHistory:
    at = _stop(attack, ordered)
    found = [(each, value) for each in ordered for value in each.values if (value.attack, value.at) == (attack, at)]
    # A board that grew between two builds tells some numbers twice.
    kept = [found[0]]
    for each, value in found[1:]:
        if (each.version, each.package, value) != (kept[-1][0].version, kept[-1][0].package, kept[-1][1]):
            kept.append((each, value))
    points, values = zip(*kept, strict=True)
    levels = [value.p for value in values]
    enough = all(value.artists >= MIN_ARTISTS for value in values)
    pieces = steps.fit(levels, margin) if enough else [Piece(0, len(levels), sum(levels) / len(levels))]
    return ScoreHistory(attack, at, points, values, tuple(pieces), steps.has_regressed(pieces, margin))


def _stop(attack: str, ordered: Sequence[HistoryPoint]) -> str:
    """Returns the operating point that most points have; of several a target, else the strongest."""
    stops = [value.at for each in ordered for value in each.values if value.attack == attack]
    return max(set(stops), key=lambda at: (stops.count(at), at.startswith("target"), float(at.split()[1])))
