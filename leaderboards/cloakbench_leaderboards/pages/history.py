"""The history page: every protection over time, the steps in it, the drift of the environment; and its feed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from cloakbench.store.reading import canaries
from cloakbench_leaderboards import text
from cloakbench_leaderboards.data.points import PointAddress, PointKind
from cloakbench_leaderboards.history import history
from cloakbench_leaderboards.history.feed import Event, atom
from cloakbench_leaderboards.history.tracking import LevelChange, ScoreHistory, Track, tracks
from cloakbench_leaderboards.parts.page import Asset, Material, Page, slug
from cloakbench_leaderboards.versions import drift

PATH = "history.html"
FEED = "feed.xml"
WIDTH, HEIGHT, EDGE = 150.0, 34.0, 4.0


@dataclass(frozen=True, slots=True)
class Spark:
    """A series as a small drawing: coordinates of an SVG."""

    points: str
    """Of the line through all values."""
    levels: tuple[str, ...]
    """Of the line at each level."""
    dots: tuple[tuple[str, str], ...]
    """The first value of each level but the first, and the last value of all."""


@dataclass(frozen=True, slots=True)
class LineView:
    """One attack of one protection."""

    attack: str
    at: str
    spark: Spark
    first: str
    last: str
    words: str
    has_regressed: bool
    values: int
    """The number of values."""


@dataclass(frozen=True, slots=True)
class HistoryPointView:
    """One point in time."""

    day: str
    version: str
    package: str
    cells: int
    artists: int
    attacks: int


@dataclass(frozen=True, slots=True)
class TrackView:
    """One protection in one suite version and environment."""

    anchor: str
    name: str
    where: str
    lines: tuple[LineView, ...]
    points: tuple[HistoryPointView, ...]


@dataclass(frozen=True, slots=True)
class DriftView:
    """One control cell that ran again."""

    day: str
    words: str
    has_drifted: bool


def pages(material: Material) -> Iterator[Page | Asset]:
    """Yields the history page and its feed."""
    evidence = material.evidence
    suite = evidence.suite
    points = history.united([*history.read(material.source), *history.points(evidence)])
    own = [point for point in points if point.suite == suite.name]
    shown = tracks(own, suite.equivalence_margin, [attack.name for attack in evidence.ranked])
    shown.sort(key=lambda track: (-track.points[0].suite_version, track.identity))
    drifts = drift.drift(evidence.records, canaries(material.source), suite.metrics.primary)
    context = {
        "tracks": tuple(map(_track, shown)),
        "drift": tuple(map(_drift, drifts)),
        "margin": f"{suite.equivalence_margin:g}",
        "feed": FEED,
    }
    yield Page(PATH, "history.html", "History", context, section=PATH)
    events = [*_step_events(shown), *_drift_events(drifts)]
    updated = evidence.updated
    yield Asset(FEED, partial(atom, f"cloakbench {suite.name}: changes", (suite.name,), PATH, events, updated))


def spark(series: ScoreHistory) -> Spark:
    """Returns the drawing of a series: time to the right, P upwards over its own range, at least 0.1."""
    levels = [value.p for value in series.values]
    middle, reach = (max(levels) + min(levels)) / 2, max(max(levels) - min(levels), 0.1) / 2

    def position(number: float, value: float) -> str:
        share = number / (len(levels) - 1) if len(levels) > 1 else 0.5
        x = EDGE + share * (WIDTH - 2 * EDGE)
        y = HEIGHT / 2 - (value - middle) / reach * (HEIGHT / 2 - EDGE)
        return f"{x:.1f},{y:.1f}"

    lines = []
    for piece in series.pieces if len(series.pieces) > 1 else ():
        start, stop = max(piece.start - 0.4, 0), min(piece.stop - 0.6, len(levels) - 1)
        lines.append(f"{position(start, piece.level)} {position(stop, piece.level)}")
    starts = {piece.start for piece in series.pieces[1:]}
    points, dots = [], []
    for number, level in enumerate(levels):
        points.append(position(number, level))
        if number in starts or number == len(levels) - 1:
            x, y = points[-1].split(",")
            dots.append((x, y))
    return Spark(" ".join(points), tuple(lines), tuple(dots))


def _track(track: Track) -> TrackView:
    newest = track.points[-1]
    points = []
    for point in reversed(track.points):
        attacks = {value.attack for value in point.values}
        points.append(
            HistoryPointView(
                day=point.measured[:10],
                version=text.name(point.version),
                package=point.package,
                cells=point.cells,
                artists=max(value.artists for value in point.values),
                attacks=len(attacks),
            )
        )
    return TrackView(
        anchor=_anchor(track),
        name=text.name(newest.protection),
        where=f"Version {newest.suite_version} of the suite, {text.plain(newest.device)} ({newest.env_class})",
        lines=tuple(map(_line, track.series)),
        points=tuple(points),
    )


def _anchor(track: Track) -> str:
    return slug("-".join(track.identity))


def _line(series: ScoreHistory) -> LineView:
    first, last = series.values[0], series.values[-1]
    count = len(series.values)
    steps = "; ".join(map(_step_words, series.steps))
    return LineView(
        attack=text.name(series.attack),
        at=_point_words(series.at),
        spark=spark(series),
        first=text.number(first.p, _half_width(first.low, first.high)),
        last=text.number(last.p, _half_width(last.low, last.high)),
        words=steps or (f"{count} values, no step" if count > 1 else "one value"),
        has_regressed=series.has_regressed,
        values=count,
    )


def _point_words(at: PointAddress) -> str:
    return f"the limit {at.value:g}" if at.kind is PointKind.TARGET else at.words


def _half_width(low: float | None, high: float | None) -> float:
    return float("nan") if low is None or high is None else (high - low) / 2


def _step_words(step: LevelChange) -> str:
    move = f"{text.number(step.before, 0.05)} → {text.number(step.after, 0.05)}"
    return f"{step.point.measured[:10]}, version {text.name(step.point.version)}: {move}"


def _drift(moved: drift.Drift) -> DriftView:
    return DriftView(moved.again[:10], text.plain(drift.sentence(moved)), not moved.is_same)


def _step_events(shown: Sequence[Track]) -> Iterator[Event]:
    for track in shown:
        for series in track.series:
            for step in series.steps:
                yield Event(
                    ("step", *track.identity, series.attack, step.point.identity),
                    f"{text.name(step.point.protection)} {'fell' if step.has_fallen else 'rose'} under {series.attack}",
                    f"P at {series.at.words}, {_step_words(step)}",
                    step.point.measured,
                    f"{PATH}#{_anchor(track)}",
                )


def _drift_events(drifts: Sequence[drift.Drift]) -> Iterator[Event]:
    for moved in drifts:
        if not moved.is_same:
            yield Event(
                ("drift", moved.key, moved.env_class, moved.again),
                f"The environment {moved.env_class} gives other results",
                drift.sentence(moved),
                moved.again,
                f"{PATH}#drift",
            )
