"""One page per attack: what the attacker does, and how much every protection leaves him."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from cloakbench.schemas.suite import AttackSpec
from cloakbench_leaderboards import text
from cloakbench_leaderboards.board import curves, editing, sections
from cloakbench_leaderboards.board.curves import EFFECT, P
from cloakbench_leaderboards.board.equal_strength import metric_column
from cloakbench_leaderboards.board.grid import HeadedRow, HeadedTable
from cloakbench_leaderboards.board.view import GapView, Pair, TradeOffCurve
from cloakbench_leaderboards.data import coverage
from cloakbench_leaderboards.parts import addresses, svg
from cloakbench_leaderboards.parts.later import LazyView, recipe
from cloakbench_leaderboards.parts.lookup import Lookup
from cloakbench_leaderboards.parts.page import Crumb, Page
from cloakbench_leaderboards.parts.svg import Chart


@dataclass(frozen=True, slots=True)
class AttackView:
    """What the page of an attack says."""

    name: str
    summary: str
    chain: str
    settings: tuple[Pair, ...]
    limits: str
    """What it cannot show; empty in stores of earlier runs."""
    notes: tuple[str, ...]
    """What stands beside the ranking, and why; empty for an attack that is ranked."""
    charts: tuple[Chart, ...]
    more: tuple[Chart, ...]
    no_chart: str
    """Why there is no plot; empty where there is one."""
    legend: Mapping[str, str]
    """Pages of protections by label."""
    unnamed: str
    """How many protections the plots do not name; empty where they name all."""
    table: HeadedTable
    no_signal: tuple[GapView, ...]
    gaps: tuple[GapView, ...]


@dataclass(frozen=True, slots=True)
class ListedAttack:
    """One attack in the list of all."""

    name: str
    link: str
    chain: str
    summary: str
    learned: str
    """From how many artists it learned; empty for one that edits."""


def pages(look: Lookup) -> Iterator[Page]:
    """Yields the list of attacks and a page for each."""
    listed = tuple(_listed(look, spec) for spec in look.attacks)
    yield Page(addresses.ATTACKS, "attacks.html", "Attacks", {"attacks": listed}, section=addresses.ATTACKS)
    crumbs = (Crumb("Attacks", addresses.ATTACKS),)
    follows_from = recipe(look.basis, look.traces, look.span, look.evidence.gaps)
    for spec in look.attacks:
        made = LazyView(follows_from, partial(view, look, spec))
        path = addresses.attack(spec.name)
        yield Page(path, "attack.html", text.name(spec.name), {"made": made}, addresses.ATTACKS, crumbs)


def view(look: Lookup, spec: AttackSpec) -> AttackView:
    """Returns what the page of an attack says."""
    facts = look.explained.get(spec.name)
    is_edit = look.is_edit(spec)
    first = curves.first_metric(look.evidence)
    others = [name for name in look.evidence.suite.metrics.quality if name != first]
    charts = () if is_edit else _charts(look, spec, [first])
    return AttackView(
        name=text.name(spec.name),
        summary=text.plain(facts.summary, 1000) if facts else "",
        chain=sections.chain(spec, "compare with the clean edit" if is_edit else "generate"),
        settings=_settings(look, spec),
        limits=text.plain(facts.limits, 2000) if facts else "",
        notes=editing.EXPLANATION if is_edit else (),
        charts=charts,
        more=() if is_edit else _charts(look, spec, others),
        no_chart="" if charts or is_edit else sections.no_curve(look.evidence, spec.name),
        legend={entry.label: addresses.protection(entry.name) for entry in look.entries},
        unnamed=_unnamed(look),
        table=_table(look, spec),
        no_signal=_no_signal(look, spec),
        gaps=_gaps(look, spec),
    )


def _listed(look: Lookup, spec: AttackSpec) -> ListedAttack:
    facts = look.explained.get(spec.name)
    artists = len(look.evidence.artists)
    learned = f"{artists - len(look.no_signal(spec))} of {artists}"
    is_edit = look.is_edit(spec)
    return ListedAttack(
        name=text.name(spec.name),
        link=addresses.attack(spec.name),
        chain=sections.chain(spec, "compare with the clean edit" if is_edit else "generate"),
        summary=text.plain(facts.summary, 1000) if facts else "",
        learned="" if is_edit else learned,
    )


def _settings(look: Lookup, spec: AttackSpec) -> tuple[Pair, ...]:
    suite = look.evidence.suite
    known = sections.settings(look.explained.get(spec.name))
    if look.is_edit(spec):
        return (*known, Pair("prompts", text.plain("; ".join(suite.edit_prompts), 1000)))
    plan = suite.sampling
    sampled = (
        f"{plan.per_prompt} images for each of {len(plan.prompts)} prompts, {plan.scheduler}, {plan.steps} steps, "
        f"guidance {plan.guidance:g}"
    )
    return (*known, Pair("generate", sampled), Pair("prompts", text.plain("; ".join(plan.prompts), 1000)))


def _charts(look: Lookup, spec: AttackSpec, metrics: Sequence[str]) -> tuple[Chart, ...]:
    """Returns P, effect and raw distance over each of the quality metrics."""
    evidence, styles = look.evidence, styles_of(look)
    drawn = [
        _curve(look, spec, measure, metric)
        for metric in metrics
        for measure in (P, EFFECT, evidence.suite.metrics.primary)
    ]
    return tuple(svg.chart(each, styles) for each in drawn if each is not None)


def _curve(look: Lookup, spec: AttackSpec, measure: str, metric: str) -> TradeOffCurve | None:
    if (measure, metric) == (P, curves.first_metric(look.evidence)):
        return look.trade_offs[spec.name]
    return curves.curve(look.evidence, spec.name, measure, metric, look.span)


def styles_of(look: Lookup) -> dict[str, str]:
    """Returns how each entry is drawn, by label, the same in all plots of a page."""
    drawn = [entry for entry in look.entries if entry.facts.role != "identity"]
    own = [entry.label for entry in drawn if not entry.is_control]
    return svg.kinds(own, [entry.label for entry in drawn if entry.is_control])


def _unnamed(look: Lookup) -> str:
    count = sum(kind == "rest" for kind in styles_of(look).values())
    return f"Thin grey lines: {count} more protections, ranked lower." if count else ""


def _table(look: Lookup, spec: AttackSpec) -> HeadedTable:
    """Returns the board's numbers under an attack, with every quality metric in place of the first one."""
    evidence, table = look.evidence, look.tables[spec.name]
    quality = evidence.suite.metrics.quality
    behind = 1 + len(quality[:1])
    is_edit = look.is_edit(spec)
    absent = editing.NO_ARM if is_edit else ()
    points = [(e, strength) for e in evidence.entries if e.facts.role not in absent for strength in e.strengths]
    lines = [
        HeadedRow(
            row.head,
            addresses.cell(entry.name, spec.name) if (entry.name, spec.name) in look.records else "",
            row.detail,
            row.is_control,
            (row.cells[0], *row.cells[behind:], *look.quality[entry.name, strength]),
        )
        for row, (entry, strength) in zip(table.rows, points, strict=True)
    ]
    columns = (table.columns[0], *table.columns[behind:], *(metric_column(evidence, name) for name in quality))
    note = (
        "Second line of a raw metric: the difference to clean images under the same attack and seed, with its interval."
    )
    what = "Edits" if is_edit else "Numbers"
    caption = f"{what} under “{text.name(spec.name)}”: means over artists, in the metrics' own units"
    return HeadedTable(caption, "Protection", columns, tuple(lines), () if is_edit else (note,))


def _no_signal(look: Lookup, spec: AttackSpec) -> tuple[GapView, ...]:
    grouped: dict[str, list[str]] = {}
    for artist, reason in look.no_signal(spec).items():
        grouped.setdefault(reason, []).append(text.name(artist))
    return tuple(
        GapView(text.name(f"{spec.mimicry} on {spec.model}"), text.listed(artists), "no signal", text.plain(reason))
        for reason, artists in grouped.items()
    )


def _gaps(look: Lookup, spec: AttackSpec) -> tuple[GapView, ...]:
    return tuple(
        GapView(text.name(gap.protection), coverage.where(gap), gap.status, text.plain(gap.reason))
        for (_, attack), gaps in look.gaps.items()
        if attack == spec.name
        for gap in gaps
    )
