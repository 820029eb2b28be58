"""The front page, the pages of its further tables, and the files of numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from cloakbench.store.paths import StorePaths
from cloakbench_leaderboards import text
from cloakbench_leaderboards.board import vega
from cloakbench_leaderboards.board.board import commits
from cloakbench_leaderboards.board.completeness import Completeness, ProvisionalOrder, completeness, order
from cloakbench_leaderboards.board.curves import quality_metrics
from cloakbench_leaderboards.board.findings import BoardFinding, findings
from cloakbench_leaderboards.board.ranking_words import no_ranking
from cloakbench_leaderboards.board.tables import without_empty_columns
from cloakbench_leaderboards.board.view import Board, Pair, TradeOffCurve
from cloakbench_leaderboards.board.words import GLOSSARY, stop_name
from cloakbench_leaderboards.pages import cell, changes, front_parts, missing
from cloakbench_leaderboards.pages.attack import entry_styles
from cloakbench_leaderboards.pages.front_parts import AttackHeat, FrontRow
from cloakbench_leaderboards.parts import bundles, commands, exports, svg
from cloakbench_leaderboards.parts.lookup import Lookup
from cloakbench_leaderboards.parts.page import INDEX, Asset, Material, Page, slug
from cloakbench_leaderboards.parts.pictures import PictureFinder
from cloakbench_leaderboards.parts.svg import Chart
from cloakbench_leaderboards.scores import flags
from cloakbench_leaderboards.scores.evidence import Evidence
from cloakbench_leaderboards.scores.setting import CLEAN

EQUAL, MISSING, NUMBERS, PLOT = "equal.html", "missing.html", "numbers.html", "plots/trade-off.svg"
INTERACTIVE = "data/interactive-plot.js"
"""The compiled plot; an attack's points are in `data/<attack>.js`."""


@dataclass(frozen=True, slots=True)
class FrontView:
    """The content of the front page."""

    findings: tuple[BoardFinding, ...]
    measured: int
    planned: int
    needed: int
    """Runs that entries lack for a rank."""
    failed: int
    missing_words: str
    """How many runs are missing, and for what."""
    commit: str
    trust: str
    has_ranking: bool
    order_words: str
    limits: tuple[Pair, ...]
    """The visibility limits by name."""
    complete: tuple[FrontRow, ...]
    incomplete: tuple[FrontRow, ...]
    controls: tuple[FrontRow, ...]
    heat: AttackHeat
    chart: Chart | None
    changed: str
    """What moved since the last board, in one sentence; empty where the source holds no account of it."""
    strips: dict[str, dict[str, list[dict[str, str]]]]
    flags: tuple[Pair, ...]
    """The meaning of the flags on this board."""
    help: dict[str, str]
    """Explanations of the heads."""


def pages(material: Material) -> Iterator[Page | Asset]:
    """Yields the front page, the pages of further tables, and one file of points per attack of the plot."""
    board, evidence = material.board, material.evidence
    curve = _curve(board, evidence)
    lookup = Lookup(evidence, board)
    pictures = PictureFinder(StorePaths(material.source), cell.allowance(lookup))
    front = view(lookup, pictures, curve, changes.summary(material))
    context = {"board": board, "front": front, "island": _island(evidence, curve, front)}
    context["enter"] = commands.enter(evidence.suite)
    context["reference"] = exports.board_reference(board)
    yield Page(INDEX, "front.html", board.title, context, section=INDEX, scripts=(bundles.FRONT,))
    if front.chart is not None:
        yield Page(PLOT, "plot.svg", front.chart.title, {"chart": front.chart})
    if curve is not None:
        yield Asset(INTERACTIVE, partial(_compiled_plot, curve))
    beside = {"board": board, "flags": front.flags, "front": front, "fill": commands.fill(evidence.suite)}
    beside["fill_ranks"] = commands.fill_ranks(evidence.setting)
    beside["headline"] = without_empty_columns(board.headline)
    yield Page(NUMBERS, "numbers.html", "All numbers", beside, section=INDEX)
    yield Page(EQUAL, "equal.html", "Equal strength, equal protection", beside, section=INDEX)
    lacking = {**beside, "missing": missing.entries(lookup, completeness(evidence))}
    yield Page(MISSING, "missing.html", "What is missing", lacking, section=INDEX)
    for spec in evidence.ranked:
        numbers = {"points": front_parts.points(evidence, spec.name)}
        yield Page(_data_path(spec.name), "data.js", "", {"name": text.name(spec.name), "data": numbers})


def view(lookup: Lookup, pictures: PictureFinder, curve: TradeOffCurve | None, changed: str = "") -> FrontView:
    """Returns the content of the front page."""
    evidence = lookup.evidence
    runs, arranged = completeness(evidence), order(evidence)
    return FrontView(
        findings=findings(evidence, arranged, runs),
        measured=_total(runs, "measured"),
        planned=_total(runs, "planned"),
        needed=_total(runs, "needed"),
        failed=_total(runs, "failed"),
        missing_words=missing.in_one_sentence(runs.values()),
        commit=text.listed(commits(evidence), 1),
        trust=_trust(evidence),
        has_ranking=arranged.has_ranking,
        order_words=_order_words(evidence, arranged),
        limits=_limits(evidence),
        complete=front_parts.rows(lookup, arranged.complete, runs),
        incomplete=front_parts.rows(lookup, arranged.incomplete, runs),
        controls=front_parts.rows(lookup, arranged.controls, runs),
        heat=front_parts.heat(lookup, arranged),
        chart=svg.chart(svg.fitted(curve), entry_styles(evidence.entries), svg.FRONT) if curve else None,
        changed=changed,
        strips=front_parts.strips(lookup, pictures, arranged),
        flags=_flags(lookup.board),
        help=dict(GLOSSARY),
    )


def _total(runs: Mapping[str, Completeness], field: str) -> int:
    return sum(getattr(run, field) for run in runs.values())


def _trust(evidence: Evidence) -> str:
    labels = {evidence.trust[entry.name].label for entry in evidence.submissions}
    if labels == {"self-reported"}:
        return "run once, by the submitters; not repeated or signed"
    return text.listed(sorted(labels))


def _order_words(evidence: Evidence, arranged: ProvisionalOrder) -> str:
    if arranged.has_ranking:
        return f"Ranked by {evidence.standings.rank_column.title}; protections below the rule are incomplete."
    if not evidence.submissions:
        return "No protection was run yet, only the references."
    words = no_ranking(evidence)
    if len(arranged.complete) > 1:
        words += " The order is provisional: by P without cleaning."
    return words


def _limits(evidence: Evidence) -> tuple[Pair, ...]:
    pairs = []
    for number, stop in enumerate(evidence.setting.stops):
        if stop.limits:
            pairs.append(Pair(stop_name(number), text.limits(stop.limits)))
    return tuple(pairs)


def _flags(board: Board) -> tuple[Pair, ...]:
    shown = set()
    for facts in board.protections:
        for flag in facts.flags:
            shown.add(flag.words)
    explained = []
    for key, words in sorted(flags.MEANINGS.items()):
        if words in shown:
            explained.append(Pair(key, words))
    return tuple(explained)


def _curve(board: Board, evidence: Evidence) -> TradeOffCurve | None:
    name = text.name(evidence.rank_attack)
    return next((section.curve for section in board.attacks if section.name == name), None)


def _compiled_plot(curve: TradeOffCurve) -> bytes:
    data = json.dumps(vega.compiled(curve), sort_keys=True, separators=(",", ":"))
    return f"cloakbench.receive({json.dumps(INTERACTIVE)},{data});\n".encode()


def _data_path(attack: str) -> str:
    return f"data/{slug(attack)}.js"


def _island(evidence: Evidence, curve: TradeOffCurve | None, front: FrontView) -> dict[str, Any]:
    """Returns the data of the page's script."""
    submissions, controls = vega.named(curve) if curve else ([], [])
    clean: int | None = None
    labels, is_control = [], []
    for row, entry in enumerate(evidence.entries):
        labels.append(entry.label)
        is_control.append(entry.is_control)
        if entry.facts.role == CLEAN and clean is None:
            clean = row
    attacks = []
    for spec in evidence.ranked:
        attacks.append({"name": text.name(spec.name), "data": _data_path(spec.name)})
    return {
        "attack": text.name(evidence.rank_attack),
        "attacks": attacks,
        "metrics": _metrics(evidence),
        "clean": clean,
        "labels": labels,
        "isControl": is_control,
        "named": submissions,
        "controls": controls,
        "most": vega.NAMED,
        "library": bundles.PLOTS,
        "plot": INTERACTIVE if curve else None,
        # Pairs, because the page writes an object with its keys sorted: the first protection stands first.
        "strips": [(label, list(artists.items())) for label, artists in front.strips.items()],
    }


def _metrics(evidence: Evidence) -> Sequence[dict[str, object]]:
    views = []
    for name in quality_metrics(evidence.suite):
        facts = evidence.metric(name)
        if facts is not None:
            unit = f" ({facts.unit})" if facts.unit else ""
            title = text.plain(f"{facts.name}{unit}", 80)
            views.append({"name": text.name(facts.name), "title": title, "isReversed": facts.higher_is_better})
    return views
