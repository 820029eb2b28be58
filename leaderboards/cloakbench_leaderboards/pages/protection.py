"""One page per protection: its facts, what breaks it, its cost, and how to reproduce its numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from cloakbench.schemas.kinds import Role
from cloakbench.schemas.suite import AttackSpec
from cloakbench_leaderboards import text
from cloakbench_leaderboards.board import reached
from cloakbench_leaderboards.board.equal_strength import p_cell
from cloakbench_leaderboards.board.tables import Table, TableCell
from cloakbench_leaderboards.board.view import CurveSeries, GapView, Pair, ProtectionView
from cloakbench_leaderboards.pages import calibrations
from cloakbench_leaderboards.pages.attack import gap_view, styles_of
from cloakbench_leaderboards.pages.strips import by_artist
from cloakbench_leaderboards.parts import addresses, commands, costs, standing, svg
from cloakbench_leaderboards.parts.lookup import Lookup
from cloakbench_leaderboards.parts.page import Crumb, Page
from cloakbench_leaderboards.parts.pictures import PictureFinder
from cloakbench_leaderboards.parts.standing import Number
from cloakbench_leaderboards.parts.svg import SMALL, Chart
from cloakbench_leaderboards.scores.evidence import BoardEntry
from cloakbench_leaderboards.scores.scores import ScoredPoint
from cloakbench_leaderboards.scores.setting import FIXED

REFERENCE = "random-noise"
"""The control in the plots of every protection."""
SHADES = 8
"""Steps of colour of a heat map between P = 0 and P = 1."""


@dataclass(frozen=True, slots=True)
class Shade:
    """One cell of a heat map."""

    text: str
    css: str
    """Class of the style sheet: `h0` (the mimic wins) to `h8` (as if it had never seen the artist), or `state`."""
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
    not_run: str
    """The attacks without any record, in words; empty where there is none."""


@dataclass(frozen=True, slots=True)
class Small:
    """One small plot with the page behind it."""

    attack: str
    link: str
    chart: Chart


@dataclass(frozen=True, slots=True)
class ProtectionPage:
    """The content of the page of a protection."""

    facts: ProtectionView
    authors: str
    """Authors of its paper; empty where it names none."""
    contact: str
    """Where the authors of its code answer; empty where it names nothing."""
    contact_link: str
    """The contact as a web address; empty where it is none."""
    standing: tuple[Number, ...]
    """Its rank and its numbers on the board."""
    weakest: str
    """The strongest attack against it, in one sentence."""
    smalls: tuple[Small, ...]
    heat: Heat
    heats: tuple[Heat, ...]
    """The same at its other strengths."""
    calibrations: tuple[Pair, ...]
    visibility: Table | None
    """The limit that binds on each artist's images; None where there are no limits."""
    costs: Table
    gaps: tuple[GapView, ...]
    no_signal: tuple[Pair, ...]
    install: str
    protect: str
    """Command that protects one's own images at the strength that the page shows; empty where there is none."""
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
    ranking: TableCell
    """The number that decides the rank."""


def pages(lookup: Lookup, facts: Sequence[ProtectionView], pictures: PictureFinder) -> Iterator[Page]:
    """Yields the list of protections and a page for each; `facts` are in the order of the evidence's entries."""
    views = {entry.name: view for entry, view in zip(lookup.evidence.entries, facts, strict=True)}
    listed = []
    for entry in lookup.entries:
        listed.append(_listed(lookup, entry, views[entry.name]))
    context = {"protections": listed, "ranking": lookup.evidence.standings.rank_column.title}
    yield Page(addresses.PROTECTIONS, "protections.html", "Protections", context, section=addresses.PROTECTIONS)
    crumbs = (Crumb("Protections", addresses.PROTECTIONS),)
    for entry in lookup.entries:
        strips = by_artist(lookup, pictures, entry, lookup.evidence.rank_attack)
        page = {"it": view(lookup, entry, views[entry.name]), "strips": strips}
        path = addresses.protection(entry.name)
        yield Page(path, "protection.html", entry.label, page, addresses.PROTECTIONS, crumbs)


def view(lookup: Lookup, entry: BoardEntry, facts: ProtectionView) -> ProtectionPage:
    """Returns the content of the page of a protection."""
    evidence, focus = lookup.evidence, lookup.focus(entry)
    salt = evidence.records[0].salt_digest
    others = []
    for strength in entry.strengths:
        if strength != focus:
            others.append(strength)
    return ProtectionPage(
        facts=facts,
        authors=text.plain(entry.facts.authors, 120),
        contact=text.plain(entry.facts.contact, 120),
        contact_link=text.link(entry.facts.contact),
        standing=standing.numbers(lookup, entry),
        weakest=_weakest(lookup, entry, focus),
        smalls=tuple(_smalls(lookup, entry)),
        heat=_heat(lookup, entry, focus),
        heats=tuple(_heat(lookup, entry, strength) for strength in others),
        calibrations=tuple(calibrations.sentences(lookup, entry)),
        visibility=reached.table(evidence, entry),
        costs=costs.table(lookup.own[entry.name]),
        gaps=tuple(_gaps(lookup, entry)),
        no_signal=_no_signal(lookup),
        install=commands.install(entry.facts),
        protect=commands.protect(entry.facts, focus),
        run=commands.run(evidence.suite, salt, entry.facts),
        board=f"cloakbench board --suite {evidence.suite.name} --out site",
        compare=addresses.comparison(entry.name) if entry.name in evidence.standings.places else "",
    )


def _listed(lookup: Lookup, entry: BoardEntry, facts: ProtectionView) -> ListedProtection:
    rank, *numbers = standing.numbers(lookup, entry)
    ranking = next(number for number in numbers if number.decides_rank)
    return ListedProtection(facts, addresses.protection(entry.name), rank.cell, ranking.cell)


def _weakest(lookup: Lookup, entry: BoardEntry, strength: float) -> str:
    measured = []
    for spec, point in lookup.strongest(entry, strength):
        if point is not None and math.isfinite(point.p.value):
            measured.append((spec, point))
    if entry.facts.role == Role.IDENTITY or not measured:
        return ""
    (strongest, least), (weakest, most) = measured[0], measured[-1]
    at = "" if entry.facts.role == Role.PLACEBO else f" at strength {strength:g}"
    total = len(lookup.evidence.ranked)
    scope = f"Of the {len(measured)} attacks measured{at} (of {total}), the" if len(measured) < total else "The"
    where = "" if len(measured) < total else at
    words = f"{scope} strongest attack{where} is “{text.name(strongest.name)}”, which leaves P {_value(least)}."
    if len(measured) == 1:
        return words
    return f"{words} The weakest is “{text.name(weakest.name)}” with P {_value(most)}."


def _value(point: ScoredPoint) -> str:
    return text.number(point.p.value, (point.p.high - point.p.low) / 2)


def _smalls(lookup: Lookup, entry: BoardEntry) -> Iterator[Small]:
    """Yields P over quality under each attack, with random noise of the same budget for comparison."""
    styles = styles_of(lookup)
    for spec in lookup.evidence.ranked:
        curve = lookup.trade_offs[spec.name]
        if curve is None or entry.facts.role == Role.IDENTITY:
            continue
        own = []
        for series in curve.series:
            if series.label == entry.label:
                own.append(series)
        if not own:
            continue
        noise = []
        for series in curve.series:
            if series.label == REFERENCE and series.label != entry.label:
                noise.append(series)
        words = _alternative(spec, own[0], curve.x_label)
        small = replace(curve, series=(own[0], *noise), alternative=words)
        chart = svg.chart(small, styles, SMALL, spec.name)
        yield Small(text.name(spec.name), lookup.cell_link(entry, spec), chart)


def _alternative(spec: AttackSpec, series: CurveSeries, metric: str) -> str:
    points = []
    for point in series.points:
        points.append(f"P {text.number(point.y)} at {metric} {text.quality(point.x)}")
    return f"P under {text.name(spec.name)}: {'; '.join(points)}."


def _heat(lookup: Lookup, entry: BoardEntry, strength: float) -> Heat:
    evidence = lookup.evidence
    at = "" if entry.facts.role in FIXED else f" at strength {strength:g}"
    if strength in entry.subject.calibrated_strengths:
        at += " (calibrated)"
    rows, not_run = [], []
    for spec, point in lookup.strongest(entry, strength):
        if point is None:
            not_run.append(text.name(spec.name))
            continue
        mean = p_cell(point, len(evidence.artists), evidence.suite.demonstration)
        shades = []
        for artist in evidence.artists:
            shades.append(_shade(lookup, entry, strength, spec, artist))
        rows.append(HeatRow(text.name(spec.name), lookup.cell_link(entry, spec), mean, tuple(shades)))
    caption = f"P of each artist under each attack{at}, the strongest attack first"
    missing = text.listed(not_run, len(not_run)) if not_run else ""
    return Heat(caption, tuple(map(text.name, evidence.artists)), tuple(rows), missing)


def _shade(lookup: Lookup, entry: BoardEntry, strength: float, spec: AttackSpec, artist: str) -> Shade:
    point = lookup.artists.get((entry.name, strength, spec.name, artist))
    if point is None:
        return Shade(text.NONE, "missing", "not run")
    if not math.isfinite(point.p):
        words = "no signal" if artist in lookup.not_learned(spec) else "missing"
        return Shade(words, "state", text.plain(point.reason))
    return Shade(two_digits(point.p), shade_class(point.p), text.plain(point.reason))


def two_digits(value: float) -> str:
    """Returns a score to two digits, without the sign of a zero.

    Example:
        >>> two_digits(-0.001), two_digits(-0.2)
        ('0.00', '−0.20')
    """
    return f"{round(value, 2) + 0.0:.2f}".replace("-", text.MINUS)


def shade_class(value: float) -> str:
    """Returns the class of the style sheet for a score.

    Example:
        >>> shade_class(-0.3), shade_class(0.5), shade_class(1.2)
        ('h0', 'h4', 'h8')
    """
    return f"h{round(SHADES * min(max(value, 0.0), 1.0))}"


def _gaps(lookup: Lookup, entry: BoardEntry) -> Iterator[GapView]:
    for (protection, attack), gaps in lookup.gaps.items():
        if protection == entry.name:
            for gap in gaps:
                yield gap_view(gap, attack)


def _no_signal(lookup: Lookup) -> tuple[Pair, ...]:
    by_artists: dict[str, list[str]] = {}
    for spec in lookup.evidence.ranked:
        artists = [text.name(artist) for artist in lookup.not_learned(spec)]
        if artists:
            by_artists.setdefault(text.listed(artists), []).append(text.name(spec.name))
    pairs = []
    for names, attacks in by_artists.items():
        pairs.append(Pair(names, text.listed(attacks, len(attacks))))
    return tuple(pairs)
