"""The table of all numbers: ranks, P where entries are compared, aggregates, cost, flags and trust."""

from __future__ import annotations

import math
from collections import Counter

import pandas as pd

from cloakbench.schemas.kinds import Role
from cloakbench_leaderboards import text
from cloakbench_leaderboards.board import reached
from cloakbench_leaderboards.board.curves import span
from cloakbench_leaderboards.board.equal_strength import version_words
from cloakbench_leaderboards.board.number_cells import (
    AREA,
    RETENTION,
    AxisEnds,
    entry_number,
    fixed_cell,
    with_bar,
)
from cloakbench_leaderboards.board.tables import Better, CellKind, Row, Table, TableCell, TableColumn, exact
from cloakbench_leaderboards.board.words import stop_name
from cloakbench_leaderboards.scores import best_known, standings, statistics
from cloakbench_leaderboards.scores.evidence import BoardEntry, Evidence
from cloakbench_leaderboards.scores.flags import Flags
from cloakbench_leaderboards.scores.ranking import RATE
from cloakbench_leaderboards.scores.setting import CLEAN, FIXED
from cloakbench_leaderboards.scores.standings import WORST_CASE
from cloakbench_leaderboards.scores.statistics import MIN_ARTISTS

HINTS = {
    "worst case": ("Worst case", "of countermeasures"),
    "mean": ("Mean", "over attacks"),
    "retention": ("Retention", "when cleaned"),
    "area": ("Area", "under the curve"),
    best_known.KEY: ("Best known", "of all attacks"),
}
TIE_NOTE = "Protections of a tie group do not differ significantly from its first."


def headline(evidence: Evidence, flags: Flags) -> Table:
    """Returns one row per entry: rank, tie group, P where entries are compared, aggregates, cost, flags, trust."""
    ends, seconds = span(evidence), seconds_per_image(evidence)
    columns = [TableColumn("Rank", "interval"), TableColumn("Tie", "group", kind=CellKind.WORDS)]
    for key in evidence.standings.columns:
        columns.append(column(evidence, key))
    if evidence.suite.matching:
        columns.append(reached.COLUMN)
    columns += [
        TableColumn("Protecting", "s / image", Better.LOWER),
        TableColumn("Flags", kind=CellKind.WORDS),
        TableColumn("Trust", kind=CellKind.WORDS),
    ]
    rows = []
    for entry in evidence.entries:
        cells = [*_standing(evidence, entry), *_numbers(evidence, entry, ends)]
        if evidence.suite.matching:
            cells.append(reached.cell(evidence, entry))
        cells.append(_seconds(evidence, entry, seconds))
        words = " · ".join(words for _, words in flags[entry.name])
        cells += [TableCell(words, kind=CellKind.WORDS), _trust(evidence, entry)]
        rows.append(Row(entry.label, version_words(entry), entry.is_control, tuple(cells)))
    at = "equal quality" if evidence.suite.matching else "equal strength"
    caption = f"All protections at {at}, against “{text.name(evidence.rank_attack)}”"
    return Table(caption, "Protection", tuple(columns), tuple(rows), _notes(evidence))


def column(evidence: Evidence, key: str) -> TableColumn:
    """Returns the head of one number of the board."""
    kind = CellKind.RANKING if evidence.standings.rank_column.key == key else CellKind.NUMBER
    if key in HINTS:
        return TableColumn(*HINTS[key], Better.HIGHER, kind)
    number = [standings.stop_key(stop) for stop in evidence.setting.stops].index(key)
    stop = evidence.setting.stops[number]
    if stop.limits:
        return TableColumn(f"P, {stop_name(number)}", f"at {stop.label}", Better.HIGHER, kind)
    level = f"{stop.strength * evidence.suite.budget_255:g}/255"
    return TableColumn(f"P at {stop.label}", level, Better.HIGHER, kind)


def rank_cell(evidence: Evidence, entry: BoardEntry) -> TableCell:
    """Returns the rank with its interval, or a dash with the reason why there is none."""
    standing = evidence.standings.places.get(entry.name)
    if standing is None:
        reason = evidence.standings.unranked.get(entry.name)  # the floor has none
        detail = "" if entry.is_control or evidence.suite.demonstration else "unranked"
        return TableCell(text.NONE, detail=detail, note=text.plain(reason.words if reason else "reference"))
    interval = f"{standing.best} to {standing.worst}" if standing.best < standing.worst else ""
    decisive = evidence.standings.decisive[entry.name]
    flag = note = ""
    if decisive:
        flag = "one artist"
        note = text.plain(f"Less certain without {text.listed(list(decisive), 2)}", 200)
    return TableCell(str(standing.rank), standing.rank, detail=interval, flag=flag, note=note)


def _standing(evidence: Evidence, entry: BoardEntry) -> tuple[TableCell, TableCell]:
    rank = rank_cell(evidence, entry)
    standing = evidence.standings.places.get(entry.name)
    if standing is None or rank.value is None:
        return rank, TableCell(text.NONE, note=rank.note, kind=CellKind.WORDS)
    return rank, TableCell(standing.group, note=TIE_NOTE, kind=CellKind.WORDS)


def _numbers(evidence: Evidence, entry: BoardEntry, ends: AxisEnds) -> list[TableCell]:
    keys = list(evidence.standings.columns)
    if entry.facts.role == Role.FLOOR:
        of_floor = dict.fromkeys(keys, with_bar(fixed_cell(1.0), ends))
        of_floor |= dict.fromkeys({RETENTION, AREA} & set(keys), TableCell(text.NONE))
        return list(of_floor.values())
    if entry.facts.role not in FIXED:
        cells = []
        for key in keys:
            cells.append(_number(evidence, entry, key, ends))
        return cells
    # A control with one operating point has one P at all stops.
    stops = len(evidence.setting.stops)
    own = _number(evidence, entry, keys[0], ends)
    if entry.facts.role == CLEAN and not evidence.setting.attack.countermeasures:
        own = with_bar(fixed_cell(0.0), ends)
    return [own] * stops + [_number(evidence, entry, key, ends) for key in keys[stops:]]


def _number(evidence: Evidence, entry: BoardEntry, key: str, ends: AxisEnds) -> TableCell:
    cell = entry_number(evidence, entry, key)
    return cell if key in (RETENTION, AREA) else with_bar(cell, ends)


def seconds_per_image(evidence: Evidence) -> pd.Series[float]:
    """Returns seconds per image by protection and strength: the mean over artists of the means over their cells.

    They are processor seconds of the stage `protect`, those of the submission's own process included; on a GPU, device
    seconds.
    """
    means = evidence.levels.cells.groupby(["protection", "strength", "artist"], observed=True)["seconds"].mean()
    return means.groupby(["protection", "strength"], observed=True).mean()


def _seconds(evidence: Evidence, entry: BoardEntry, seconds: pd.Series[float]) -> TableCell:
    value = float(seconds.get((entry.name, evidence.focus(entry)), math.nan))
    if entry.facts.role in (CLEAN, Role.FLOOR) or not math.isfinite(value):
        return TableCell(text.NONE)
    return TableCell(text.number(value), exact(value))


def _trust(evidence: Evidence, entry: BoardEntry) -> TableCell:
    trust = evidence.trust[entry.name]
    label = "" if entry.is_control else trust.label
    return TableCell(label, note=text.plain(trust.words, 200), kind=CellKind.WORDS)


def _notes(evidence: Evidence) -> tuple[str, ...]:
    standing, suite = evidence.standings, evidence.suite
    title = standing.rank_column.title
    against = "" if suite.rank_by == WORST_CASE else f" against “{text.name(evidence.rank_attack)}”"
    notes = [
        f"Ranked by {title}{against}; other columns carry no rank, nor do references.",
        "The second line is the 95 % interval over artists; digits are rounded to it.",
    ]
    if len(evidence.artists) < MIN_ARTISTS:
        notes[1] = f"No intervals and no ranks: {statistics.too_few(len(evidence.artists))}."
    elif len(standing.places) > 1:
        notes.append(
            "Ranks with an interval, and tie groups: protections are told apart by paired differences over artists, "
            f"false discoveries kept to {RATE:.0%} of the pairs."
        )
        notes += _agreement_notes(evidence)
        notes.append(_order_note(evidence))
    return (*notes, *_definitions(evidence))


def _agreement_notes(evidence: Evidence) -> list[str]:
    """Returns how many pairs are not told apart because a metric does not agree; nothing without limits."""
    standing = evidence.standings
    if not standing.metrics:
        return []
    counts: Counter[str] = Counter()
    for metrics in standing.not_shown.values():
        counts.update(metrics)
    words = [f"{text.name(metric)} {count}" for metric, count in counts.most_common()]
    missed = f" Pairs that differ in {standing.rank_column.title} but not so: {len(standing.not_shown)}"
    missed += f", by metric that disagrees: {', '.join(words)}." if words else "."
    shown = text.listed([text.name(metric) for metric in standing.metrics], len(standing.metrics))
    return [f"A pair is told apart only where it also differs at equal {shown}, each alone.{missed}"]


def _order_note(evidence: Evidence) -> str:
    swaps = []
    for key, (swapped, pairs) in evidence.standings.flips.items():
        if swapped:
            swaps.append(f"{swapped} of {pairs} under {evidence.standings.columns[key].title}")
    if swaps:
        return f"Pairs of protections in another order under another column: {'; '.join(swaps)}."
    return "Every pair of protections has the same order under all columns."


def _definitions(evidence: Evidence) -> list[str]:
    middle, rules = evidence.setting.middle, evidence.suite.matching
    at = middle.label if rules else f"strength {middle.label}"
    notes = [
        f"Worst case, mean and retention stand at {at}. Worst case: under the countermeasure that serves the mimic "
        "best, chosen on other artists than it is scored on, less the same of the unprotected images.",
    ]
    if rules is None:
        return notes
    gates = []
    for name, values in rules.gates.items():
        gates.append(f"{name} {text.numbers(values)}")
    further = f". Further limits at each: {'; '.join(gates)}" if gates else ""
    notes.append(
        f"Targets of {rules.metric}: {text.numbers(rules.targets)}{further}"
        ". “Not reached”: the measured curve ends before; nothing is extrapolated. Area: mean P from the images as "
        f"they are to {rules.metric} {rules.targets[1]:g}."
    )
    return notes
