"""One page per attack: the method of the attacker, and the protection that every entry keeps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from cloakbench.schemas.kinds import Role
from cloakbench.schemas.suite import AttackSpec
from cloakbench_leaderboards import text
from cloakbench_leaderboards.board import board, curves, editing, sections
from cloakbench_leaderboards.board.equal_strength import metric_columns
from cloakbench_leaderboards.board.tables import Table, clipped, estimate_cell
from cloakbench_leaderboards.board.view import GapView, Measure, Pair, TradeOffCurve
from cloakbench_leaderboards.data import coverage
from cloakbench_leaderboards.pages.attack_list import chain, league_place, listed, remaining
from cloakbench_leaderboards.pages.strips import of_attack
from cloakbench_leaderboards.parts import addresses, svg
from cloakbench_leaderboards.parts.lookup import Lookup
from cloakbench_leaderboards.parts.page import Crumb, Page
from cloakbench_leaderboards.parts.pictures import PictureFinder
from cloakbench_leaderboards.parts.svg import Chart, CurveStyle, Size
from cloakbench_leaderboards.scores import side_effects
from cloakbench_leaderboards.scores.evidence import BoardEntry
from cloakbench_leaderboards.scores.statistics import Estimate


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
    files: tuple[str, ...]
    """The files with the same plots, in the order of `charts`."""
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


def pages(lookup: Lookup, pictures: PictureFinder) -> Iterator[Page]:
    """Yields the list of attacks and a page for each."""
    rows = tuple(sorted((listed(lookup, spec) for spec in lookup.attacks), key=league_place))
    yield Page(addresses.ATTACKS, "attacks.html", "Attacks", {"attacks": rows}, section=addresses.ATTACKS)
    crumbs = (Crumb("Attacks", addresses.ATTACKS),)
    for spec in lookup.attacks:
        caption, strip = of_attack(lookup, pictures, spec)
        context = {"attack": view(lookup, spec), "caption": caption, "strip": strip}
        yield Page(addresses.attack(spec.name), "attack.html", text.name(spec.name), context, addresses.ATTACKS, crumbs)
        if not lookup.is_edit(spec):
            for number, chart in enumerate(_charts(lookup, spec, _first_metric(lookup), svg.FRONT)):
                yield Page(addresses.plot(spec.name, number), "plot.svg", chart.title, {"chart": chart})


def view(lookup: Lookup, spec: AttackSpec) -> AttackView:
    """Returns the content of the page of an attack."""
    facts = lookup.explained.get(spec.name)
    is_edit = lookup.is_edit(spec)
    others = curves.quality_metrics(lookup.evidence.suite)[1:]
    charts = () if is_edit else _charts(lookup, spec, _first_metric(lookup))
    return AttackView(
        name=text.name(spec.name),
        summary=text.unmarked(facts.summary) if facts else "",
        chain=chain(lookup, spec),
        settings=_settings(lookup, spec),
        limits=text.unmarked(facts.limits, 2000) if facts else "",
        extremes="" if is_edit else _extremes(lookup, spec),
        notes=editing.EXPLANATION if is_edit else (),
        charts=charts,
        files=tuple(addresses.plot(spec.name, number) for number in range(len(charts))),
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
        f"{len(measured)} of {total} protections were run under this attack. Most is left of {most}, {_p_words(high)}; "
        f"least of {least}, {_p_words(low)}."
    )


def _p_words(p: Estimate) -> str:
    """Returns P with its interval and the number of artists."""
    cell = estimate_cell(clipped(p, None, 1.0))
    interval = f"{cell.detail}, " if p.has_interval else ""
    return f"P {cell.text} ({interval}{p.n} artists)"


def _first_metric(lookup: Lookup) -> Sequence[str]:
    return curves.quality_metrics(lookup.evidence.suite)[:1] or [""]


def _charts(lookup: Lookup, spec: AttackSpec, metrics: Sequence[str], size: Size = svg.WIDE) -> tuple[Chart, ...]:
    """Returns P, effect and raw distance over each of the quality metrics."""
    styles = styles_of(lookup)
    charts = []
    for metric in metrics:
        for measure in Measure:
            curve = _curve(lookup, spec, measure, metric)
            if curve is not None:
                charts.append(svg.chart(curve, styles, size))
    return tuple(charts)


def _curve(lookup: Lookup, spec: AttackSpec, measure: Measure, metric: str) -> TradeOffCurve | None:
    if measure is Measure.PROTECTION and metric == curves.first_metric(lookup.evidence.suite):
        curve = lookup.trade_offs[spec.name]
        return svg.fitted(curve) if curve else None
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
        is_scored = is_edit or entry.facts.role == Role.FLOOR
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
