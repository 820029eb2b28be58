"""One page per protection: what it is, what breaks it, what it costs, how to make its numbers again."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from cloakbench.schemas.suite import AttackSpec
from cloakbench_leaderboards import text
from cloakbench_leaderboards.board.equal_strength import p_cell
from cloakbench_leaderboards.board.grid import HeadedTable
from cloakbench_leaderboards.board.tables import TableCell
from cloakbench_leaderboards.board.view import CurveSeries, GapView, Pair, ProtectionView
from cloakbench_leaderboards.data import coverage
from cloakbench_leaderboards.parts import addresses, commands, costs, standing, svg
from cloakbench_leaderboards.parts.later import LazyView, recipe
from cloakbench_leaderboards.parts.lookup import Lookup
from cloakbench_leaderboards.parts.page import Crumb, Page
from cloakbench_leaderboards.parts.standing import Number
from cloakbench_leaderboards.parts.svg import SMALL, Chart
from cloakbench_leaderboards.scores.evidence import BoardEntry
from cloakbench_leaderboards.scores.matching import CalibratedStrength
from cloakbench_leaderboards.scores.scores import ScoredPoint
from cloakbench_leaderboards.scores.setting import FIXED

COMPARED = "random-noise"
"""The control that stands beside a protection in its plots."""
SHADES = 4
"""Steps of colour on either side of the middle of the heat map."""


@dataclass(frozen=True, slots=True)
class Shade:
    """One cell of the heat map."""

    text: str
    kind: str
    """Class of the style sheet: `h-4` (the mimic wins) to `h4` (as if it had never seen the artist), or `state`."""
    note: str


@dataclass(frozen=True, slots=True)
class HeatRow:
    """One attack in the heat map."""

    attack: str
    link: str
    """Page behind the numbers; empty where there is none."""
    mean: TableCell
    shades: tuple[Shade, ...]


@dataclass(frozen=True, slots=True)
class Heat:
    """P of every artist under every attack at one strength, the strongest attack first."""

    caption: str
    artists: tuple[str, ...]
    rows: tuple[HeatRow, ...]


@dataclass(frozen=True, slots=True)
class Small:
    """One small plot with the page behind it."""

    attack: str
    link: str
    chart: Chart


@dataclass(frozen=True, slots=True)
class ProtectionPage:
    """What the page of a protection says."""

    facts: ProtectionView
    standing: tuple[Number, ...]
    """Its rank and its numbers on the front page."""
    weakest: str
    """What breaks it, in one sentence."""
    smalls: tuple[Small, ...]
    heat: Heat
    heats: tuple[Heat, ...]
    """The same at its other strengths."""
    calibrations: tuple[Pair, ...]
    costs: HeadedTable
    gaps: tuple[GapView, ...]
    no_signal: tuple[Pair, ...]
    install: str
    run: str
    board: str
    compare: str
    """Page that compares it with its neighbours; empty where there is none."""


@dataclass(frozen=True, slots=True)
class ListedProtection:
    """One protection in the list of all."""

    facts: ProtectionView
    link: str
    rank: TableCell
    carrier: TableCell


def pages(look: Lookup, facts: Sequence[ProtectionView]) -> Iterator[Page]:
    """Yields the list of protections and a page for each; `facts` are in the order of the evidence's entries."""
    views = {entry.name: each for entry, each in zip(look.evidence.entries, facts, strict=True)}
    listed = tuple(_listed(look, entry, views[entry.name]) for entry in look.entries)
    context = {"protections": listed, "carrier": look.evidence.standings.rank_column.title}
    yield Page(addresses.PROTECTIONS, "protections.html", "Protections", context, section=addresses.PROTECTIONS)
    crumbs = (Crumb("Protections", addresses.PROTECTIONS),)
    noise = [look.traces[entry.name] for entry in look.entries if entry.facts.role == COMPARED]
    for entry in look.entries:
        made = LazyView(
            recipe(
                look.basis, look.traces[entry.name], noise, look.span, views[entry.name], standing.numbers(look, entry)
            ),
            partial(view, look, entry, views[entry.name]),
        )
        path = addresses.protection(entry.name)
        yield Page(path, "protection.html", entry.label, {"made": made}, addresses.PROTECTIONS, crumbs)


def view(look: Lookup, entry: BoardEntry, facts: ProtectionView) -> ProtectionPage:
    """Returns what the page of a protection says."""
    evidence, focus = look.evidence, look.focus(entry)
    salt = evidence.records[0].salt_digest
    return ProtectionPage(
        facts=facts,
        standing=standing.numbers(look, entry),
        weakest=_weakest(look, entry, focus),
        smalls=tuple(_smalls(look, entry)),
        heat=_heat(look, entry, focus),
        heats=tuple(_heat(look, entry, strength) for strength in entry.strengths if strength != focus),
        calibrations=tuple(_calibrations(look, entry)),
        costs=costs.grid(look.own[entry.name]),
        gaps=tuple(_gaps(look, entry)),
        no_signal=_no_signal(look),
        install=commands.install(entry.facts),
        run=commands.run(evidence.suite, salt, entry.facts),
        board=f"cloakbench board --suite {evidence.suite.name} --out site",
        compare=addresses.comparison(entry.name) if entry.name in evidence.standings.places else "",
    )


def _listed(look: Lookup, entry: BoardEntry, facts: ProtectionView) -> ListedProtection:
    rank, *numbers = standing.numbers(look, entry)
    carrier = next(each for each in numbers if each.is_carrier)
    return ListedProtection(facts, addresses.protection(entry.name), rank.cell, carrier.cell)


def _weakest(look: Lookup, entry: BoardEntry, strength: float) -> str:
    known = [
        (spec, point)
        for spec, point in look.strongest(entry, strength)
        if point is not None and math.isfinite(point.p.value)
    ]
    if entry.facts.role == "identity" or not known:
        return ""
    (spec, point), (kindest, most) = known[0], known[-1]
    at = "" if entry.facts.role == "placebo" else f" at strength {strength:g}"
    words = f"The strongest attack{at} is “{text.name(spec.name)}”, which leaves P {_value(point)}."
    return words if len(known) == 1 else f"{words} The weakest is “{text.name(kindest.name)}” with P {_value(most)}."


def _value(point: ScoredPoint) -> str:
    return text.number(point.p.value, (point.p.high - point.p.low) / 2)


def _smalls(look: Lookup, entry: BoardEntry) -> Iterator[Small]:
    """Yields P over quality under each attack, beside random noise of the same budget."""
    for spec in look.evidence.ranked:
        curve = look.trade_offs[spec.name]
        series = [each for each in curve.series if each.label == entry.label] if curve else []
        if curve is None or not series or entry.facts.role == "identity":
            continue
        noise = [each for each in curve.series if each.label == COMPARED and each.label != entry.label]
        words = _alternative(spec, series[0], curve.x_label)
        own = replace(curve, series=(*series, *noise), alternative=words)
        styles = {COMPARED: "g0", entry.label: "c0 d0"}
        yield Small(text.name(spec.name), _link(look, entry, spec), svg.chart(own, styles, SMALL, spec.name))


def _alternative(spec: AttackSpec, series: CurveSeries, metric: str) -> str:
    ends = "; ".join(f"P {text.number(each.y)} at {metric} {text.number(each.x)}" for each in series.points)
    return f"P under {text.name(spec.name)}: {ends}."


def _heat(look: Lookup, entry: BoardEntry, strength: float) -> Heat:
    evidence = look.evidence
    has_one = entry.facts.role in FIXED
    at = "" if has_one else f" at strength {strength:g}"
    if strength in entry.subject.calibrated_strengths:
        at += " (calibrated)"
    rows = tuple(
        HeatRow(
            attack=text.name(spec.name),
            link=_link(look, entry, spec),
            mean=p_cell(point, len(evidence.artists), evidence.suite.demonstration),
            shades=tuple(_shade(look, entry, strength, spec, artist) for artist in evidence.artists),
        )
        for spec, point in look.strongest(entry, strength)
    )
    caption = f"P of each artist under each attack{at}, the strongest attack first"
    return Heat(caption, tuple(text.name(artist) for artist in evidence.artists), rows)


def _shade(look: Lookup, entry: BoardEntry, strength: float, spec: AttackSpec, artist: str) -> Shade:
    found = look.artists.get((entry.name, strength, spec.name, artist))
    if found is None:
        return Shade("absent", "state", "no record")
    if not math.isfinite(found.p):
        silent = artist in look.no_signal(spec)
        return Shade("no signal" if silent else "missing", "state", text.plain(found.reason))
    # From -1 to 1, in steps: P of 0.5 is neither.
    step = round(2 * SHADES * (min(max(found.p, 0.0), 1.0) - 0.5))
    return Shade(f"{found.p:.2f}".replace("-", text.MINUS), f"h{step}", text.plain(found.reason))


def _link(look: Lookup, entry: BoardEntry, spec: AttackSpec) -> str:
    return addresses.cell(entry.name, spec.name) if (entry.name, spec.name) in look.records else ""


def _calibrations(look: Lookup, entry: BoardEntry) -> Iterator[Pair]:
    tried = {each.target: each.calibration for each in look.own[entry.name] if each.target is not None}
    for target, found in sorted(entry.subject.calibrations.items()):
        told = f"strength {found.strength:g}" if found.strength else "no strength meets it"
        limits = ", ".join(f"{text.name(name)} {value:g}" for name, value in found.limits.items())
        tries = "; ".join(f"{at:g}: {_tried(quality, found)}" for at, quality in tried.get(target, []))
        yield Pair(limits, f"{told}; tried {tries}" if tries else told)


def _tried(quality: Mapping[str, float], sought: CalibratedStrength) -> str:
    return ", ".join(text.number(quality[name]) for name in sought.limits if name in quality)


def _gaps(look: Lookup, entry: BoardEntry) -> Iterator[GapView]:
    for (protection, attack), gaps in look.gaps.items():
        if protection == entry.name:
            for gap in gaps:
                yield GapView(text.name(attack), coverage.where(gap), gap.status, text.plain(gap.reason))


def _no_signal(look: Lookup) -> tuple[Pair, ...]:
    found = {text.name(spec.name): look.no_signal(spec) for spec in look.evidence.ranked}
    return tuple(
        Pair(name, text.listed([text.name(artist) for artist in artists])) for name, artists in found.items() if artists
    )
