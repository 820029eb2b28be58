"""Series through a history: one for each protection, attack and operating point, with the steps in it."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cloakbench_leaderboards.data.points import PointAddress, PointKind
from cloakbench_leaderboards.history import steps
from cloakbench_leaderboards.history.history import HistoryPoint, MeasuredScore
from cloakbench_leaderboards.history.steps import Piece
from cloakbench_leaderboards.scores.statistics import MIN_ARTISTS


class LevelChange(NamedTuple):
    """A step from one level to another."""

    point: HistoryPoint
    """The first one on the new level."""
    attack: str
    at: PointAddress
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
    at: PointAddress
    points: tuple[HistoryPoint, ...]
    values: tuple[MeasuredScore, ...]
    pieces: tuple[Piece, ...]
    """Levels; one piece where too few artists were measured to speak of steps."""
    has_regressed: bool
    """Whether the last level is below the best one by the suite's margin or more."""

    @property
    def steps(self) -> list[LevelChange]:
        """All changes of level, the oldest first."""
        changes = []
        for old, new in itertools.pairwise(self.pieces):
            changes.append(LevelChange(self.points[new.start], self.attack, self.at, old.level, new.level))
        return changes


@dataclass(frozen=True)
class Track:
    """One protection in one suite version and environment: its points and its series."""

    points: tuple[HistoryPoint, ...]
    """The oldest first."""
    series: tuple[ScoreHistory, ...]

    @property
    def identity(self) -> tuple[str, ...]:
        """What distinguishes it from the others, for anchors and ids."""
        return _track(self.points[0])


def tracks(points: Iterable[HistoryPoint], margin: float, attacks: Sequence[str] = ()) -> list[Track]:
    """Returns the tracks of a history, sorted.

    Args:
        points: The points of the history, in any order.
        margin: The least step that matters, in units of P.
        attacks: Order of the attacks; others stand after them.
    """
    grouped: dict[tuple[str, ...], list[HistoryPoint]] = {}
    for point in points:
        grouped.setdefault(_track(point), []).append(point)
    result = []
    for _, group in sorted(grouped.items()):
        ordered = sorted(group, key=lambda point: (point.measured, point.identity))
        series = [_series(name, ordered, margin) for name in _attacks(ordered, attacks)]
        result.append(Track(tuple(ordered), tuple(series)))
    return result


def _attacks(ordered: Sequence[HistoryPoint], attacks: Sequence[str]) -> list[str]:
    names: set[str] = set()
    for point in ordered:
        names.update(score.attack for score in point.values)
    return sorted(names, key=lambda name: (attacks.index(name) if name in attacks else len(attacks), name))


def _track(point: HistoryPoint) -> tuple[str, ...]:
    return (point.suite, f"{point.suite_version:06}", point.protection, point.env_class, point.salt)


def _series(attack: str, ordered: Sequence[HistoryPoint], margin: float) -> ScoreHistory:
    at = _operating_point(attack, ordered)
    points: list[HistoryPoint] = []
    values: list[MeasuredScore] = []
    most = _most_artists(attack, at, ordered)
    for point in ordered:
        for score in point.values:
            # Over fewer artists P is another number: its mean holds other artists.
            if score.attack != attack or score.at != at or score.artists < most:
                continue
            # A board that grew between two builds repeats some numbers.
            if not points or _said(point, score) != _said(points[-1], values[-1]):
                points.append(point)
                values.append(score)
    levels = [score.p for score in values]
    enough = all(score.artists >= MIN_ARTISTS for score in values)
    pieces = steps.fit(levels, margin) if enough else [Piece(0, len(levels), sum(levels) / len(levels))]
    has_regressed = steps.has_regressed(pieces, margin)
    return ScoreHistory(attack, at, tuple(points), tuple(values), tuple(pieces), has_regressed)


def _most_artists(attack: str, at: PointAddress, ordered: Sequence[HistoryPoint]) -> int:
    most = 0
    for point in ordered:
        for score in point.values:
            if (score.attack, score.at) == (attack, at):
                most = max(most, score.artists)
    return most


def _said(point: HistoryPoint, score: MeasuredScore) -> tuple[str, str, MeasuredScore]:
    return point.version, point.package, score


def _operating_point(attack: str, ordered: Sequence[HistoryPoint]) -> PointAddress:
    """Returns the operating point that most points have; of several a target, else the strongest."""
    counts: Counter[PointAddress] = Counter()
    for point in ordered:
        counts.update(score.at for score in point.values if score.attack == attack)
    return max(counts, key=lambda at: (counts[at], at.kind is PointKind.TARGET, at.value))
