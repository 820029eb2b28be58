"""The headline table: how entries compare, who is told apart from whom, and what protecting costs."""

from __future__ import annotations

import math
from dataclasses import replace

import pandas as pd

from cloakbench_leaderboards import text
from cloakbench_leaderboards.board.curves import span
from cloakbench_leaderboards.board.tables import IntervalBar, Row, Table, TableCell, TableColumn, estimate_cell
from cloakbench_leaderboards.scores import standings, statistics
from cloakbench_leaderboards.scores.evidence import BoardEntry, Evidence
from cloakbench_leaderboards.scores.flags import Flags
from cloakbench_leaderboards.scores.ranking import RATE
from cloakbench_leaderboards.scores.setting import CLEAN, FIXED, Value
from cloakbench_leaderboards.scores.standings import WORST_CASE
from cloakbench_leaderboards.scores.statistics import MIN_ARTISTS, Estimate

Ends = tuple[float, float]
"""Of the scale that all bars of P share: that of the curves."""
WORDS = ("not reached", "no signal")
"""States that stand in a cell without a number; a dash for all others."""
RETENTION, AREA = "retention", "area"
HINTS = {
    "worst case": ("Worst case", "of countermeasures"),
    "mean": ("Mean", "over attacks"),
    "retention": ("Retention", "when cleaned"),
    "area": ("Area", "under the curve"),
}


def headline(evidence: Evidence, told: Flags) -> Table:
    """Returns one row per entry: rank, tie group, P where entries are compared, aggregates, cost, flags, trust."""
    found = evidence.standings
    ends = span(evidence)
    seconds = _all_seconds(evidence)
    columns = (
        TableColumn("Rank", "interval"),
        TableColumn("Tie", "group", kind="words"),
        *(_column(evidence, key) for key in found.columns),
        TableColumn("Protecting", "s / image", "↓"),
        TableColumn("Flags", kind="words"),
        TableColumn("Trust", kind="words"),
    )
    rows = tuple(
        Row(
            entry.label,
            "control" if entry.is_control else text.plain(entry.facts.version, 20),
            entry.is_control,
            (
                *_place(evidence, entry),
                *_numbers(evidence, entry, ends),
                _seconds(evidence, entry, seconds),
                TableCell(" · ".join(words for _, words in told[entry.name]), kind="words"),
                _trust(evidence, entry),
            ),
        )
        for entry in evidence.entries
    )
    at = "equal quality" if evidence.suite.matching else "equal strength"
    caption = f"All entries at {at}, against “{text.name(evidence.rank_attack)}”"
    return Table(caption, "Protection", columns, rows, _notes(evidence))


def _column(evidence: Evidence, key: str) -> TableColumn:
    column = evidence.standings.columns[key]
    kind = "carrier" if column is evidence.standings.rank_column else "number"
    if key in HINTS:
        return TableColumn(*HINTS[key], "↑", kind)
    stop = next(stop for stop in evidence.setting.stops if standings.stop_key(stop) == key)
    if stop.limits:
        return TableColumn(f"P at {stop.target:g}", next(iter(stop.limits)), "↑", kind)
    return TableColumn(f"P at {stop.label}", f"{stop.strength * evidence.suite.budget_255:g}/255", "↑", kind)


def _place(evidence: Evidence, entry: BoardEntry) -> tuple[TableCell, TableCell]:
    found = evidence.standings
    place = found.places.get(entry.name)
    if place is None:
        note = text.plain(found.unranked.get(entry.name, "control"))
        shown = "" if entry.is_control or evidence.suite.demonstration else "unranked"
        return TableCell(text.NONE, detail=shown, note=note), TableCell(text.NONE, note=note, kind="words")
    interval = f"{place.best} to {place.worst}" if place.best < place.worst else ""
    note = "Nobody in a group is told apart from its first."
    return TableCell(str(place.rank), place.rank, detail=interval), TableCell(place.group, note=note, kind="words")


def _numbers(evidence: Evidence, entry: BoardEntry, ends: Ends) -> tuple[TableCell, ...]:
    keys = list(evidence.standings.columns)
    if entry.facts.role == "floor":
        one = _fixed("1", ends)
        return tuple(TableCell(text.NONE) if key in (RETENTION, AREA) else one for key in keys)
    if entry.facts.role not in FIXED:
        return tuple(_number(evidence, entry, key, ends) for key in keys)
    # A control with one operating point has one P at all stops.
    stops = len(evidence.setting.stops)
    own = _number(evidence, entry, keys[0], ends)
    if entry.facts.role == CLEAN and not evidence.setting.attack.countermeasures:
        own = _fixed("0", ends)
    return (*(own,) * stops, *(_number(evidence, entry, key, ends) for key in keys[stops:]))


def _fixed(value: str, ends: Ends) -> TableCell:
    cell = TableCell(value, float(value), detail="by definition")
    return replace(cell, bar=bar(cell, ends))


def _number(evidence: Evidence, entry: BoardEntry, key: str, ends: Ends) -> TableCell:
    cell = number(*evidence.standings.value(key, entry.name), evidence.suite.demonstration)
    return cell if key in (RETENTION, AREA) else replace(cell, bar=bar(cell, ends))


def number(value: Value, estimate: Estimate, demonstration: bool = False) -> TableCell:
    """Returns a number with its interval and what is wrong with it, or the state in its place; its note says why."""
    if not math.isfinite(estimate.value):
        words = value.state if value.state in WORDS else text.NONE
        return TableCell(words, note=text.plain("; ".join(dict.fromkeys((value.note, *value.lacks)))), kind="state")
    told = "" if demonstration else estimate.reason
    cell = estimate_cell(estimate, text.plain("; ".join(part for part in (told, value.note, *value.lacks) if part)))
    beside = [*limits(value), *([_short(value)] if value.lacks else [])]
    return replace(cell, flag=" · ".join(beside)) if beside else cell


def limits(value: Value) -> list[str]:
    """Returns what the limits of quality have to do with a number: that it is past one, or which gate binds."""
    over = ["over target"] if value.state == "over target" else []
    return [*over, *([f"{value.gate} binds"] if value.gate else [])]


def _short(value: Value) -> str:
    """Returns what a number lacks in a few words; all of it stands in the cell's note."""
    if value.attacks and value.attacks.is_partial:
        return value.note
    return value.lacks[0] if len(value.lacks) == 1 else f"{len(value.lacks)} blocks incomplete"


def bar(cell: TableCell, ends: Ends) -> IntervalBar | None:
    """Returns a number drawn to scale; None where there is none."""
    if cell.value is None:
        return None

    def place(value: float) -> float:
        return round(100 * (min(max(value, ends[0]), ends[1]) - ends[0]) / (ends[1] - ends[0]), 1)

    low = place(cell.value if cell.low is None else cell.low)
    high = place(cell.value if cell.high is None else cell.high)
    return IntervalBar(place(0.0), place(1.0), place(cell.value), low, round(high - low, 1))


def _all_seconds(evidence: Evidence) -> pd.Series[float]:
    """Returns seconds per image by protection and strength: of each artist the mean over its cells."""
    means = evidence.levels.cells.groupby(["protection", "strength", "artist"], observed=True)["seconds"].mean()
    return means.groupby(["protection", "strength"], observed=True).mean()


def _seconds(evidence: Evidence, entry: BoardEntry, seconds: pd.Series[float]) -> TableCell:
    value = float(seconds.get((entry.name, evidence.focus(entry)), math.nan))
    if entry.facts.role in (CLEAN, "floor") or not math.isfinite(value):
        return TableCell(text.NONE)
    return TableCell(text.number(value), float(f"{value:.10g}"))


def _trust(evidence: Evidence, entry: BoardEntry) -> TableCell:
    found = evidence.trust[entry.name]
    return TableCell("" if entry.is_control else found.label, note=text.plain(found.words, 200), kind="words")


def _notes(evidence: Evidence) -> tuple[str, ...]:
    found, suite = evidence.standings, evidence.suite
    title = found.rank_column.title
    against = "" if suite.rank_by == WORST_CASE else f" against “{text.name(evidence.rank_attack)}”"
    notes = [
        f"Ranked by {title}{against}; other columns carry no rank, nor do controls.",
        "The second line is the 95 % interval over artists; digits are rounded to it.",
    ]
    if len(evidence.artists) < MIN_ARTISTS:
        notes[1] = f"No intervals and no ranks: {statistics.too_few(len(evidence.artists))}."
    elif len(found.places) > 1:
        notes.append(
            "Ranks with an interval, and tie groups: entries are told apart by paired differences over artists, "
            f"false discoveries kept to {RATE:.0%} of the pairs."
        )
    turned = [
        f"{swapped} of {pairs} under {found.columns[key].title}"
        for key, (swapped, pairs) in found.flips.items()
        if swapped
    ]
    if turned:
        notes.append(f"Pairs whose order turns round under another column: {'; '.join(turned)}.")
    elif len(found.places) > 1:
        notes.append("No pair turns its order round under another column.")
    return (*notes, *_definitions(evidence))


def _definitions(evidence: Evidence) -> list[str]:
    middle, rules = evidence.setting.middle, evidence.suite.matching
    at = middle.label if rules else f"strength {middle.label}"
    notes = [
        f"Worst case, mean and retention stand at {at}. Worst case: under the countermeasure that serves the mimic "
        "best, chosen for each artist on one half of the generations and scored on the other.",
    ]
    if rules is None:
        return notes
    limits = "; ".join(f"{name} {', '.join(f'{value:g}' for value in gate)}" for name, gate in rules.gates.items())
    notes.append(
        f"Targets of {rules.metric}: {', '.join(f'{target:g}' for target in rules.targets)}"
        + (f". Further limits at each: {limits}" if limits else "")
        + ". “Not reached”: the measured curve ends before; nothing is extrapolated. Area: mean P from the images as "
        f"they are to {rules.metric} {rules.targets[1]:g}."
    )
    return notes
