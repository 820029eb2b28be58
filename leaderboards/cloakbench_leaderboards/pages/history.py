"""The history page: every protection over time, the steps in it, the drift of the environment; and its feed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cloakbench.store.reading import canaries
from cloakbench_leaderboards import text
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
    state: str
    """`regressed`, or empty."""


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
    state: str


def pages(material: Material) -> Iterator[Page | Asset]:
    """Yields the history page and its feed."""
    evidence = material.evidence
    known = [*history.read(material.source), *history.points(evidence)]
    own = [each for each in history.united(known) if each.suite == evidence.suite.name]
    found = tracks(own, evidence.suite.equivalence_margin, [attack.name for attack in evidence.ranked])
    found.sort(key=lambda track: (-track.points[0].suite_version, track.identity))
    moved = drift.drift(evidence.records, canaries(material.source), evidence.suite.metrics.primary)
    context = {
        "tracks": tuple(_track(each) for each in found),
        "drift": tuple(_drift(each) for each in moved),
        "margin": f"{evidence.suite.equivalence_margin:g}",
        "feed": FEED,
    }
    yield Page(PATH, "history.html", "History", context, section=PATH)
    events = [*_steps(found), *_drifts(moved)]
    updated = max(record.created for record in evidence.records)
    name = evidence.suite.name
    yield Asset(
        FEED,
        lambda: atom(f"cloakbench {name}: changes", (name,), PATH, events, updated),
        recipe=repr((events, updated)),
    )


def spark(series: ScoreHistory) -> Spark:
    """Returns the drawing of a series: time to the right, P upwards over its own range, which is 0.1 at the least."""
    levels = [value.p for value in series.values]
    middle, reach = (max(levels) + min(levels)) / 2, max(max(levels) - min(levels), 0.1) / 2

    def place(number: float, value: float) -> tuple[str, str]:
        share = number / (len(levels) - 1) if len(levels) > 1 else 0.5
        x = EDGE + share * (WIDTH - 2 * EDGE)
        y = HEIGHT / 2 - (value - middle) / reach * (HEIGHT / 2 - EDGE)
        return f"{x:.1f}", f"{y:.1f}"

    def path(places: Sequence[tuple[str, str]]) -> str:
        return " ".join(",".join(each) for each in places)

    return Spark(
        points=path([place(number, value) for number, value in enumerate(levels)]),
        levels=tuple(
            path([place(max(p.start - 0.4, 0), p.level), place(min(p.stop - 0.6, len(levels) - 1), p.level)])
            for p in series.pieces
            if len(series.pieces) > 1
        ),
        dots=tuple(
            place(number, levels[number])
            for number in dict.fromkeys([*(p.start for p in series.pieces[1:]), len(levels) - 1])
        ),
    )


def _track(track: Track) -> TrackView:
    newest = track.points[-1]
    return TrackView(
        anchor=_anchor(track),
        name=text.name(newest.protection),
        where=f"Version {newest.suite_version} of the suite, {text.plain(newest.device)} ({newest.env_class})",
        lines=tuple(_line(each) for each in track.series),
        points=tuple(
            HistoryPointView(
                day=point.measured[:10],
                version=text.name(point.version),
                package=point.package,
                cells=point.cells,
                artists=max(value.artists for value in point.values),
                attacks=len({value.attack for value in point.values}),
            )
            for point in reversed(track.points)
        ),
    )


def _anchor(track: Track) -> str:
    return slug("-".join(track.identity))


def _line(series: ScoreHistory) -> LineView:
    first, last = series.values[0], series.values[-1]
    told = [_told(step) for step in series.steps]
    nothing = f"{len(series.values)} values, no step" if len(series.values) > 1 else "one value"
    return LineView(
        attack=text.name(series.attack),
        at=series.at.words,
        spark=spark(series),
        first=text.number(first.p, _half(first.low, first.high)),
        last=text.number(last.p, _half(last.low, last.high)),
        words="; ".join(told) or nothing,
        state="regressed" if series.has_regressed else "",
    )


def _half(low: float | None, high: float | None) -> float:
    return float("nan") if low is None or high is None else (high - low) / 2


def _told(step: LevelChange) -> str:
    move = f"{text.number(step.before, 0.05)} → {text.number(step.after, 0.05)}"
    return f"{step.point.measured[:10]}, version {text.name(step.point.version)}: {move}"


def _drift(found: drift.Drift) -> DriftView:
    return DriftView(found.again[:10], text.plain(drift.sentence(found)), "" if found.is_same else "drifted")


def _steps(found: Sequence[Track]) -> Iterator[Event]:
    for track in found:
        for series in track.series:
            for step in series.steps:
                yield Event(
                    ("step", *track.identity, series.attack, step.point.identity),
                    f"{text.name(step.point.protection)} {'fell' if step.has_fallen else 'rose'} under {series.attack}",
                    f"P at {series.at.words}, {_told(step)}",
                    step.point.measured,
                    f"{PATH}#{_anchor(track)}",
                )


def _drifts(found: Sequence[drift.Drift]) -> Iterator[Event]:
    for each in found:
        if not each.is_same:
            title = f"The environment {each.env_class} gives other results"
            yield Event(
                ("drift", each.key, each.env_class, each.again),
                title,
                drift.sentence(each),
                each.again,
                f"{PATH}#drift",
            )
