"""Protections side by side: paired differences over artists, with their significance."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from cloakbench.schemas.kinds import PointState
from cloakbench_leaderboards import text
from cloakbench_leaderboards.board.number_cells import number_cell
from cloakbench_leaderboards.board.tables import (
    CellKind,
    Row,
    Table,
    TableCell,
    TableColumn,
    clipped,
    difference_words,
    estimate_cell,
)
from cloakbench_leaderboards.board.view import Pair
from cloakbench_leaderboards.pages.strips import overview
from cloakbench_leaderboards.parts import addresses, standing
from cloakbench_leaderboards.parts.differences import Differences
from cloakbench_leaderboards.parts.lookup import Lookup
from cloakbench_leaderboards.parts.page import Crumb, Page, slug
from cloakbench_leaderboards.parts.pictures import PictureFinder
from cloakbench_leaderboards.parts.standing import Number
from cloakbench_leaderboards.scores import aggregates, agreement, statistics
from cloakbench_leaderboards.scores.barriers import Barrier
from cloakbench_leaderboards.scores.evidence import BoardEntry, Evidence
from cloakbench_leaderboards.scores.setting import Value
from cloakbench_leaderboards.scores.statistics import Array, Estimate

NEIGHBOURS = 10
"""Entries on either side in rank on the page of one entry: pages stay small on a large board."""
ALL_PAIRS = 12
"""Up to this many ranked entries, all pairs stand in one table; beyond, those next to each other in rank."""
SCRIPT = "static/compare.js"
NumbersByName = Mapping[str, tuple[Number, ...]]
"""Rank and numbers of every ranked entry."""
NOTES = (
    "The verdict keeps false discoveries to 5 % over all ranked pairs. A difference counts only where it is also shown "
    "at equal visibility by each metric that limits it. Each interval is of its pair alone, so it may leave out 0 "
    "where the verdict says “not told apart”.",
    "“Turns on” names the artists without any one of whom the verdict is the other one.",
)


@dataclass(frozen=True, slots=True)
class CompareView:
    """The content of the page that compares any entries."""

    pairs: Table
    data: dict[str, object]
    """Numbers from which a script computes the comparison of any two entries."""
    names: tuple[Pair, ...]
    """The ranked entries with the pages that compare each."""
    unranked: tuple[Pair, ...]
    """Entries that cannot be compared, grouped by reason."""


def pages(lookup: Lookup, pictures: PictureFinder) -> Iterator[Page]:
    """Yields the page that compares any entries, and one for each ranked entry with its neighbours."""
    differences = Differences(lookup.evidence)
    entries = {entry.name: entry for entry in lookup.entries}
    numbers = {name: standing.numbers(lookup, entries[name]) for name in differences.names}
    strips = {}
    for entry in lookup.evidence.submissions:
        strips[slug(entry.name)] = overview(lookup, pictures, entry)
    context = {"it": view(lookup, differences, entries, numbers), "strips": strips}
    yield Page(addresses.COMPARE, "compare.html", "Compare", context, addresses.COMPARE, scripts=(SCRIPT,))
    crumbs = (Crumb("Compare", addresses.COMPARE),)
    for name in differences.names:
        table = {"table": neighbours(entries, differences, name, numbers)}
        title = f"{entries[name].label} compared"
        yield Page(addresses.comparison(name), "comparison.html", title, table, addresses.COMPARE, crumbs)


def view(
    lookup: Lookup, differences: Differences, entries: dict[str, BoardEntry], numbers: NumbersByName
) -> CompareView:
    """Returns the content of the page that compares any entries."""
    names = differences.names
    return CompareView(
        pairs=_pairs(differences, entries, lookup.evidence.standings.rank_column.title),
        data=_data(lookup, differences, entries, numbers),
        names=_links(entries, names),
        unranked=_unranked(lookup),
    )


def _links(entries: dict[str, BoardEntry], names: Sequence[str]) -> tuple[Pair, ...]:
    links = []
    for name in names:
        links.append(Pair(entries[name].label, addresses.comparison(name)))
    return tuple(links)


def _pairs(differences: Differences, entries: dict[str, BoardEntry], ranking: str) -> Table:
    names = differences.names
    reach = len(names) if len(names) <= ALL_PAIRS else 1
    pairs = []
    for position, name in enumerate(names):
        for other in names[position + 1 : position + 1 + reach]:
            pairs.append((name, other))
    rows = []
    for (name, other), difference in zip(pairs, differences.rank_differences(pairs).rows(), strict=True):
        rows.append(_pair_row(differences, entries[name], entries[other], difference))
    columns = (
        TableColumn("Minus", kind=CellKind.WORDS),
        TableColumn(ranking, "difference"),
        TableColumn("Verdict", kind=CellKind.WORDS),
    )
    caption = "All ranked pairs" if reach > 1 else "Neighbours in rank"
    return Table(f"{caption}: paired differences over artists", "Protection", columns, tuple(rows), NOTES)


def _unranked(lookup: Lookup) -> tuple[Pair, ...]:
    by_reason: dict[str, list[str]] = {}
    reasons = lookup.evidence.standings.unranked
    for entry in lookup.entries:
        if entry.name in reasons and not entry.is_control:
            by_reason.setdefault(_reason(lookup.evidence, entry), []).append(entry.label)
    unranked = []
    for reason, labels in by_reason.items():
        unranked.append(Pair(", ".join(labels), reason))
    return tuple(unranked)


def _reason(evidence: Evidence, entry: BoardEntry) -> str:
    """Returns why an entry has no rank: how many attacks have a score, where runs are missing."""
    reason = evidence.standings.unranked[entry.name]
    value, _ = evidence.standings.value(evidence.standings.rank_column.key, entry.name)
    if reason.barrier is Barrier.RUNS_MISSING and value.attacks is not None and value.attacks.is_partial:
        return f"a score under {value.attacks.measured} of the {value.attacks.planned} attacks that decide the rank"
    return text.plain(reason.words)


def neighbours(entries: dict[str, BoardEntry], differences: Differences, name: str, numbers: NumbersByName) -> Table:
    """Returns the row of an entry: its numbers, and its difference to each of its neighbours in rank."""
    others = _neighbours(differences.names, name)
    by_column = differences.differences_from(name, others)
    label, (rank, *own) = entries[name].label, numbers[name]
    cells = (rank.cell, TableCell("", kind=CellKind.WORDS), *(number.cell for number in own))
    rows = [Row(label, "this one", False, cells, addresses.protection(name))]
    for position, other in enumerate(others):
        shifts = [column[position] for column in by_column]
        verdict = _verdict_cell(differences, name, other)
        cells = (numbers[other][0].cell, verdict, *_shifted(numbers[other][1:], shifts))
        rows.append(Row(entries[other].label, "", False, cells, addresses.comparison(other)))
    columns = (
        TableColumn("Rank", "interval"),
        TableColumn("Verdict", f"{label} is", kind=CellKind.WORDS),
        *map(_column, own),
    )
    note = f"Second line: {label} minus the other, with the 95 % interval of the paired difference over artists."
    return Table(f"{label} and its neighbours in rank", "Protection", columns, tuple(rows), (note, *NOTES))


def _shifted(numbers: Sequence[Number], shifts: Sequence[Estimate]) -> list[TableCell]:
    cells = []
    for number, shift in zip(numbers, shifts, strict=True):
        cells.append(replace(number.cell, detail=_shift_words(shift), flag=""))
    return cells


def _neighbours(names: Sequence[str], name: str) -> list[str]:
    position = names.index(name)
    return [*names[max(position - NEIGHBOURS, 0) : position], *names[position + 1 : position + 1 + NEIGHBOURS]]


def _column(number: Number) -> TableColumn:
    return TableColumn(number.label, kind=CellKind.RANKING if number.decides_rank else CellKind.NUMBER)


def _pair_row(differences: Differences, entry: BoardEntry, other: BoardEntry, difference: Estimate) -> Row:
    cells = (
        TableCell(other.label, kind=CellKind.WORDS),
        estimate_cell(difference),
        _verdict_cell(differences, entry.name, other.name),
    )
    return Row(entry.label, "", False, cells, addresses.comparison(entry.name))


def _verdict_cell(differences: Differences, name: str, other: str) -> TableCell:
    """Returns whether an entry is ahead of another, which metrics do not show it, and the artists that it turns on."""
    first, second = differences.positions[name], differences.positions[other]
    artists = differences.decisive.get((min(first, second), max(first, second)), ())
    flag = f"turns on {text.listed(list(map(text.name, artists)), 2)}" if artists else ""
    if differences.told_apart[first, second]:
        return TableCell("ahead" if first < second else "behind", flag=flag, kind=CellKind.WORDS)
    metrics = differences.metrics_against(name, other)
    detail = f"not shown at equal {text.listed(list(metrics))}" if metrics else ""
    return TableCell("not told apart", detail=detail, flag=flag, kind=CellKind.WORDS)


def _shift_words(difference: Estimate) -> str:
    return difference_words(difference) if math.isfinite(difference.value) else "no artist in common"


def _data(
    lookup: Lookup, differences: Differences, entries: dict[str, BoardEntry], numbers: NumbersByName
) -> dict[str, object]:
    ranking = lookup.evidence.standings.rank_column
    quantiles = {}
    for count, quantile in differences.quantiles.items():
        quantiles[str(count)] = round(quantile, 10)
    columns = []
    for column in differences.columns:
        columns.append({"title": standing.title(lookup, column), "carries": column is ranking})
    for spec in lookup.evidence.ranked:
        columns.append({"title": f"P under {text.name(spec.name)}", "carries": False})
    for metric in lookup.evidence.standings.metrics:
        columns.append({"title": f"P at equal {text.name(metric)}", "carries": False})
    shown = []
    submissions = [entry.name for entry in lookup.evidence.submissions]
    for name in dict.fromkeys([*differences.names, *submissions]):
        own = numbers.get(name) or standing.numbers(lookup, entries[name])
        row = lookup.evidence.standings.rows[name]
        values = []
        for column in differences.columns:
            values.append(_comparable(column.values[row]))
        cells = [number.cell for number in own[1:]]
        for value in (*_by_attack(lookup.evidence, entries[name]), *_by_metric(lookup.evidence, entries[name])):
            values.append(_packed(value.artists))
            cells.append(_attack_cell(lookup.evidence, value))
        shown.append(
            {
                "key": slug(name),
                "label": entries[name].label,
                "link": addresses.protection(name),
                "texts": [(cell.text, cell.detail) for cell in cells],
                "values": values,
            }
        )
    return {
        "quantiles": quantiles,
        "apart": _rows_of_digits(differences),
        "columns": columns,
        "entries": shown,
    }


def _by_attack(evidence: Evidence, entry: BoardEntry) -> list[Value]:
    """Returns P under each attack at the middle stop."""
    setting, values = evidence.setting, []
    for spec in evidence.ranked:
        values.append(aggregates.protection(setting, entry.subject, spec.name, setting.middle))
    return values


def _by_metric(evidence: Evidence, entry: BoardEntry) -> list[Value]:
    """Returns P at equal visibility by each metric that limits it."""
    values = []
    for metric in evidence.standings.metrics:
        artists = agreement.at_equal(evidence.setting, entry.subject, metric)
        values.append(Value(artists, PointState.INTERPOLATED, f"at equal {metric}"))
    return values


def _rows_of_digits(differences: Differences) -> list[str]:
    """Returns one row per ranked entry: 1 for each ranked entry that it is told apart from, else 0."""
    rows = []
    for flags in differences.told_apart.astype(int):
        rows.append("".join(map(str, flags)))
    return rows


def _attack_cell(evidence: Evidence, value: Value) -> TableCell:
    """Returns P of an entry under one attack with its interval."""
    estimate = statistics.estimates(value.artists[None]).rows()[0]
    return number_cell(value, clipped(estimate, None, 1.0), evidence.suite.demonstration)


def _comparable(value: Value) -> list[float | None]:
    """Returns the contributions of the artists; none of a number that lacks something, such as some attacks."""
    return [None] * len(value.artists) if value.lacks else _packed(value.artists)


def _packed(values: Array) -> list[float | None]:
    """Returns the values to six digits, None for an artist without one."""
    packed: list[float | None] = []
    for value in values:
        packed.append(float(f"{value:.6g}") if math.isfinite(value) else None)
    return packed
