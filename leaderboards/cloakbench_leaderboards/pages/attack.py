"""One page per attack: the method of the attacker, and the protection that every entry keeps."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from cloakbench.schemas.suite import AttackSpec
from cloakbench_leaderboards import text
from cloakbench_leaderboards.board import board, curves, editing, sections
from cloakbench_leaderboards.board.equal_strength import metric_columns
from cloakbench_leaderboards.board.tables import Table
from cloakbench_leaderboards.board.view import GapView, Measure, Pair, TradeOffCurve
from cloakbench_leaderboards.data import coverage
from cloakbench_leaderboards.pages.strips import of_attack
from cloakbench_leaderboards.parts import addresses, svg
from cloakbench_leaderboards.parts.lookup import Lookup
from cloakbench_leaderboards.parts.page import Crumb, Page
from cloakbench_leaderboards.parts.pictures import PictureFinder
from cloakbench_leaderboards.parts.svg import Chart, CurveStyle
from cloakbench_leaderboards.scores import aggregates, side_effects, statistics
from cloakbench_leaderboards.scores.evidence import BoardEntry


@dataclass(frozen=True, slots=True)
class AttackView:
    """The content of the page of an attack."""

    name: str
    summary: str
    chain: str
    settings: tuple[Pair, ...]
    limits: str
    """Protections that it cannot test; empty in stores of earlier runs."""
    extremes: str
    """The entries that keep most and least protection; empty where fewer than two have a score."""
    notes: tuple[str, ...]
    """Why it stands outside the ranking; empty for an attack that is ranked."""
    charts: tuple[Chart, ...]
    more: tuple[Chart, ...]
    no_chart: str
    """Why there is no plot; empty where there is one."""
    legend: Mapping[str, str]
    """Pages of protections by label."""
    unnamed: str
    """The number of protections without a name in the plots; empty where all have one."""
    damage: tuple[Pair, ...]
    """What it does to clean images, by quality metric; empty without a countermeasure."""
    detectability: tuple[Pair, ...]
    """The share of each entry's images that it detects; empty for an attack without a detector."""
    table: Table
    no_signal: tuple[GapView, ...]
    gaps: tuple[GapView, ...]


@dataclass(frozen=True, slots=True)
class ListedAttack:
    """One attack in the list of all."""

    name: str
    link: str
    chain: str
    summary: str
    measured: str
    """The number of protections that were run under it."""
    remaining: str
    """Mean P that they keep; a dash where none was run."""
    learned: str
    """The number of artists that it learned from; empty for one that edits."""


def pages(lookup: Lookup, pictures: PictureFinder) -> Iterator[Page]:
    """Yields the list of attacks and a page for each."""
    listed = tuple(_listed(lookup, spec) for spec in lookup.attacks)
    yield Page(addresses.ATTACKS, "attacks.html", "Attacks", {"attacks": listed}, section=addresses.ATTACKS)
    crumbs = (Crumb("Attacks", addresses.ATTACKS),)
    for spec in lookup.attacks:
        caption, strip = of_attack(lookup, pictures, spec)
        context = {"attack": view(lookup, spec), "caption": caption, "strip": strip}
        yield Page(addresses.attack(spec.name), "attack.html", text.name(spec.name), context, addresses.ATTACKS, crumbs)


def view(lookup: Lookup, spec: AttackSpec) -> AttackView:
    """Returns the content of the page of an attack."""
    facts = lookup.explained.get(spec.name)
    is_edit = lookup.is_edit(spec)
    first, *others = curves.quality_metrics(lookup.evidence.suite) or [""]
    charts = () if is_edit else _charts(lookup, spec, [first])
    return AttackView(
        name=text.name(spec.name),
        summary=text.plain(facts.summary, 1000) if facts else "",
        chain=_chain(lookup, spec),
        settings=_settings(lookup, spec),
        limits=text.plain(facts.limits, 2000) if facts else "",
        extremes="" if is_edit else _extremes(lookup, spec),
        notes=editing.EXPLANATION if is_edit else (),
        charts=charts,
        more=() if is_edit else _charts(lookup, spec, others),
        no_chart="" if charts or is_edit else sections.no_curve(lookup.evidence, spec.name),
        legend={entry.label: addresses.protection(entry.name) for entry in lookup.entries},
        unnamed=_unnamed(lookup),
        damage=_damage(lookup, spec),
        detectability=_detectability(lookup, spec),
        table=_table(lookup, spec),
        no_signal=_no_signal(lookup, spec),
        gaps=_gaps(lookup, spec),
    )


def _damage(lookup: Lookup, spec: AttackSpec) -> tuple[Pair, ...]:
    means = side_effects.damage(lookup.evidence.records, spec.name)
    return tuple(Pair(text.name(metric), text.number(value)) for metric, value in means.items())


def _detectability(lookup: Lookup, spec: AttackSpec) -> tuple[Pair, ...]:
    rates = side_effects.detectability(lookup.evidence.records, spec.name)
    return tuple(Pair(f"{text.name(name)} at {strength:g}", f"{rate:.0%}") for name, strength, rate in rates)


def _chain(lookup: Lookup, spec: AttackSpec) -> str:
    return sections.chain(spec, editing.COMPARE_STAGE if lookup.is_edit(spec) else "generate")


def _listed(lookup: Lookup, spec: AttackSpec) -> ListedAttack:
    facts = lookup.explained.get(spec.name)
    artists = len(lookup.evidence.artists)
    learned = f"{artists - len(lookup.no_signal(spec))} of {artists}"
    scores = [] if lookup.is_edit(spec) else [p for _, p in remaining(lookup, spec)]
    total = len(lookup.evidence.submissions)
    return ListedAttack(
        name=text.name(spec.name),
        link=addresses.attack(spec.name),
        chain=_chain(lookup, spec),
        summary=text.plain(facts.summary, 1000) if facts else "",
        measured="" if lookup.is_edit(spec) else f"{len(scores)} of {total}",
        remaining=text.number(sum(scores) / len(scores), 0.05) if scores else text.NONE,
        learned="" if lookup.is_edit(spec) else learned,
    )


def _settings(lookup: Lookup, spec: AttackSpec) -> tuple[Pair, ...]:
    suite = lookup.evidence.suite
    stages = sections.settings(lookup.explained.get(spec.name))
    if lookup.is_edit(spec):
        return (*stages, Pair("prompts", text.plain("; ".join(suite.edit_prompts), 1000)))
    plan = suite.sampling
    sampled = (
        f"{plan.per_prompt} images for each of {len(plan.prompts)} prompts, {plan.scheduler}, {plan.steps} steps, "
        f"guidance {plan.guidance:g}"
    )
    return (*stages, Pair("generate", sampled), Pair("prompts", text.plain("; ".join(plan.prompts), 1000)))


def _extremes(lookup: Lookup, spec: AttackSpec) -> str:
    """Returns the entries that keep most and least protection at the middle stop, in one sentence."""
    measured = remaining(lookup, spec)
    if len(measured) < 2:
        return ""
    (least, low), (most, high) = measured[0], measured[-1]
    total = len(lookup.evidence.submissions)
    return (
        f"Of {total} protections {len(measured)} were run under it. {most} keeps most, P {text.number(high)}; "
        f"{least} keeps least, P {text.number(low)}."
    )


def remaining(lookup: Lookup, spec: AttackSpec) -> list[tuple[str, float]]:
    """Returns the label and P of each submission under an attack at the middle stop, the least first."""
    setting = lookup.evidence.setting
    measured = []
    for entry in lookup.entries:
        if entry.is_control:
            continue
        value = aggregates.protection(setting, entry.subject, spec.name, setting.middle)
        p = float(statistics.estimates(value.artists[None]).value[0])
        if math.isfinite(p):
            measured.append((entry.label, p))
    return sorted(measured, key=lambda pair: pair[1])


def _charts(lookup: Lookup, spec: AttackSpec, metrics: Sequence[str]) -> tuple[Chart, ...]:
    """Returns P, effect and raw distance over each of the quality metrics."""
    styles = styles_of(lookup)
    charts = []
    for metric in metrics:
        for measure in Measure:
            curve = _curve(lookup, spec, measure, metric)
            if curve is not None:
                charts.append(svg.chart(curve, styles))
    return tuple(charts)


def _curve(lookup: Lookup, spec: AttackSpec, measure: Measure, metric: str) -> TradeOffCurve | None:
    if measure is Measure.PROTECTION and metric == curves.first_metric(lookup.evidence.suite):
        return lookup.trade_offs[spec.name]
    return curves.curve(lookup.evidence, spec.name, measure, metric, lookup.span)


def styles_of(lookup: Lookup) -> dict[str, CurveStyle]:
    """Returns the look of each entry by label, the same in all plots of the site."""
    return entry_styles(lookup.entries)


def entry_styles(entries: Sequence[BoardEntry]) -> dict[str, CurveStyle]:
    """Returns the look of each entry by label; neither the identity nor the floor has a curve."""
    submissions: list[str] = []
    controls: list[str] = []
    for entry in entries:
        if entry.facts.role.changes_images:
            (controls if entry.is_control else submissions).append(entry.label)
    return svg.styles(submissions, controls)


def _unnamed(lookup: Lookup) -> str:
    count = sum(not style.is_named for style in styles_of(lookup).values())
    return f"Thin grey lines: {count} more protections, ranked lower." if count else ""


def _table(lookup: Lookup, spec: AttackSpec) -> Table:
    """Returns the board's numbers under an attack, with every quality metric in place of the first one."""
    evidence, table = lookup.evidence, lookup.tables[spec.name]
    quality = evidence.suite.metrics.quality
    first_number = 1 + len(quality[:1])
    is_edit = lookup.is_edit(spec)
    rows = []
    for row, (entry, strength) in zip(table.rows, _points(lookup, is_edit), strict=True):
        is_scored = is_edit or entry.facts.role == "floor"
        if not is_scored and lookup.point(entry, strength, spec.name) is None:
            continue
        cells = (row.cells[0], *row.cells[first_number:], *lookup.quality[entry.name, strength])
        rows.append(replace(row, link=lookup.cell_link(entry, spec), cells=cells))
    quality_columns = metric_columns(evidence, quality)
    columns = (table.columns[0], *table.columns[first_number:], *quality_columns)
    note = (
        "Second line of a raw metric: the difference to clean images under the same attack and seed, with its interval."
    )
    kind = "Edits" if is_edit else "Numbers"
    caption = f"{kind} under “{text.name(spec.name)}”: means over artists, in the metrics' own units"
    notes = () if is_edit else (note, "Points that were not run are listed under “What is missing”.")
    return Table(caption, "Protection", columns, tuple(rows), notes)


def _points(lookup: Lookup, is_edit: bool) -> list[tuple[BoardEntry, float]]:
    """Returns the entries and strengths in the order of the board's table."""
    if is_edit:
        return editing.edited_points(lookup.evidence)
    points = []
    for entry in lookup.evidence.entries:
        for strength in entry.strengths:
            points.append((entry, strength))
    return points


def _no_signal(lookup: Lookup, spec: AttackSpec) -> tuple[GapView, ...]:
    if lookup.is_edit(spec):
        return ()
    arm = (spec.mimicry, spec.model)
    signals = lookup.evidence.scores.signals
    own = []
    for signal in signals:
        if (signal.mimicry, signal.model) == arm:
            own.append(signal)
    return board.no_signal(own)


def _gaps(lookup: Lookup, spec: AttackSpec) -> tuple[GapView, ...]:
    views = []
    for (_, attack), gaps in lookup.gaps.items():
        if attack == spec.name:
            for gap in gaps:
                views.append(gap_view(gap, gap.protection))
    return tuple(views)


def gap_view(gap: coverage.Gap, name: str) -> GapView:
    """Returns a gap under the name of its protection or attack."""
    return GapView(text.name(name), coverage.where(gap), gap.status, text.plain(gap.reason))
