"""Protections side by side: paired differences over artists, with what can be told apart."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from cloakbench_leaderboards import text
from cloakbench_leaderboards.board.grid import HeadedRow, HeadedTable
from cloakbench_leaderboards.board.tables import TableCell, TableColumn, estimate_cell
from cloakbench_leaderboards.board.view import Pair
from cloakbench_leaderboards.parts import addresses, standing
from cloakbench_leaderboards.parts.differences import Differences
from cloakbench_leaderboards.parts.later import LazyView, recipe
from cloakbench_leaderboards.parts.lookup import Lookup
from cloakbench_leaderboards.parts.page import Crumb, Page, slug
from cloakbench_leaderboards.parts.standing import Number
from cloakbench_leaderboards.scores.evidence import BoardEntry
from cloakbench_leaderboards.scores.statistics import Estimate

NEIGHBOURS = 10
"""Entries on either side in rank that stand on the page of one: pages stay as small on a large board."""
ALL_PAIRS = 12
"""Up to so many ranked entries all pairs stand in one table; beyond, those next to each other in rank."""
SCRIPT = "static/compare.js"
Told = Mapping[str, tuple[Number, ...]]
"""Rank and numbers of every ranked entry."""


@dataclass(frozen=True, slots=True)
class CompareView:
    """What the page says that compares any with any."""

    pairs: HeadedTable
    data: dict[str, object]
    """What a script computes the comparison of any two from."""
    names: tuple[Pair, ...]
    """The ranked entries with the pages that compare each."""
    unranked: tuple[Pair, ...]
    """Who can't be compared, and why."""


def pages(look: Lookup) -> Iterator[Page]:
    """Yields the page that compares any with any, and one for each ranked entry with its neighbours."""
    found = Differences(look.evidence)
    entries = {entry.name: entry for entry in look.entries}
    follows_from = recipe(look.basis, look.traces)
    told = {name: standing.numbers(look, entries[name]) for name in found.names}
    made = LazyView(follows_from, partial(view, look, found, entries, told))
    yield Page(addresses.COMPARE, "compare.html", "Compare", {"made": made}, addresses.COMPARE, scripts=(SCRIPT,))
    crumbs = (Crumb("Compare", addresses.COMPARE),)
    for name in found.names:
        others = _neighbours(found.names, name)
        numbers = [told[other] for other in (name, *others)]
        verdicts = [bool(found.told_apart[found.places[name], found.places[other]]) for other in others]
        traces = [look.traces[other] for other in (name, *others)]
        follows_from = recipe(look.basis, traces, numbers, verdicts)
        made = LazyView(follows_from, partial(neighbours, look, found, entries[name], told))
        title = f"{entries[name].label} compared"
        yield Page(addresses.comparison(name), "comparison.html", title, {"made": made}, addresses.COMPARE, crumbs)


def view(look: Lookup, found: Differences, entries: dict[str, BoardEntry], told: Told) -> CompareView:
    """Returns what the page says that compares any with any."""
    names = found.names
    reach = len(names) if len(names) <= ALL_PAIRS else 1
    pairs = [(name, other) for place, name in enumerate(names) for other in names[place + 1 : place + 1 + reach]]
    differences = found.carried(pairs)
    lines = [
        _pair(found, entries[name], entries[other], differences.at(row)) for row, (name, other) in enumerate(pairs)
    ]
    carrier = look.evidence.standings.rank_column.title
    columns = (
        TableColumn("Minus", kind="words"),
        TableColumn(carrier, "difference"),
        TableColumn("Verdict", kind="words"),
    )
    caption = "All ranked pairs" if reach > 1 else "Neighbours in rank"
    unranked = look.evidence.standings.unranked
    return CompareView(
        pairs=HeadedTable(f"{caption}: paired differences over artists", "Protection", columns, tuple(lines), _notes()),
        data=_data(look, found, entries, told),
        names=tuple(Pair(entries[name].label, addresses.comparison(name)) for name in names),
        unranked=tuple(
            Pair(entry.label, text.plain(unranked[entry.name]))
            for entry in look.entries
            if entry.name in unranked and not entry.is_control
        ),
    )


def neighbours(look: Lookup, found: Differences, entry: BoardEntry, told: Told) -> HeadedTable:
    """Returns an entry beside its neighbours: their numbers, and on the second line its difference to them."""
    others = _neighbours(found.names, entry.name)
    entries = {each.name: each for each in look.entries}
    rank, *numbers = told[entry.name]
    lines = [
        HeadedRow(
            entry.label,
            addresses.protection(entry.name),
            "this one",
            False,
            (rank.cell, TableCell("", kind="words"), *(n.cell for n in numbers)),
        )
    ]
    differences = found.to(entry.name, others)
    for place, other in enumerate(others):
        theirs = told[other]
        cells = [
            replace(number.cell, detail=_shift(column[place]), flag="")
            for number, column in zip(theirs[1:], differences, strict=True)
        ]
        verdict = TableCell(_verdict(found, entry.name, other), kind="words")
        lines.append(
            HeadedRow(
                entries[other].label,
                addresses.comparison(other),
                "",
                False,
                (theirs[0].cell, verdict, *cells),
            )
        )
    columns = (
        TableColumn("Rank", "interval"),
        TableColumn("Verdict", f"{entry.label} is", kind="words"),
        *(_column(number) for number in numbers),
    )
    caption = f"{entry.label} and its neighbours in rank"
    note = f"Second line: {entry.label} minus the other, with the 95 % interval of the paired difference over artists."
    return HeadedTable(caption, "Protection", columns, tuple(lines), (note, *_notes()))


def _neighbours(names: Sequence[str], name: str) -> list[str]:
    place = names.index(name)
    return [*names[max(place - NEIGHBOURS, 0) : place], *names[place + 1 : place + 1 + NEIGHBOURS]]


def _column(number: Number) -> TableColumn:
    return TableColumn(number.label, kind="carrier" if number.is_carrier else "number")


def _pair(found: Differences, entry: BoardEntry, other: BoardEntry, difference: Estimate) -> HeadedRow:
    cells = (
        TableCell(other.label, kind="words"),
        estimate_cell(difference),
        TableCell(_verdict(found, entry.name, other.name), kind="words"),
    )
    return HeadedRow(entry.label, addresses.comparison(entry.name), "", False, cells)


def _verdict(found: Differences, name: str, other: str) -> str:
    one, two = found.places[name], found.places[other]
    if not found.told_apart[one, two]:
        return "not told apart"
    return "ahead" if one < two else "behind"


def _shift(difference: Estimate) -> str:
    if not math.isfinite(difference.value):
        return "no artist in common"
    shown = text.number(difference.value, (difference.high - difference.low) / 2)
    sign = "" if shown.startswith(text.MINUS) else "+"
    interval = text.interval(difference.low, difference.high)
    return f"{sign}{shown}" + (f" ({interval})" if interval else "")


def _notes() -> tuple[str, ...]:
    return (
        "The verdict keeps false discoveries to 5 % over all ranked pairs. Each interval is of its pair alone, so it "
        "may leave out 0 where the verdict says “not told apart”.",
    )


def _data(look: Lookup, found: Differences, entries: dict[str, BoardEntry], told: Told) -> dict[str, object]:
    values = [found.values(column) for column in found.columns]
    return {
        "quantile": round(found.quantile, 10),
        "limit": round(found.limit, 10) if math.isfinite(found.limit) else None,
        "columns": [
            {"title": column.title, "carries": column is look.evidence.standings.rank_column}
            for column in found.columns
        ],
        "entries": [
            {
                "key": slug(name),
                "label": entries[name].label,
                "link": addresses.protection(name),
                "texts": [(number.cell.text, number.cell.detail) for number in told[name][1:]],
                "values": [
                    [float(f"{each:.6g}") if math.isfinite(each) else None for each in column[place]]
                    for column in values
                ],
            }
            for place, name in enumerate(found.names)
        ],
    }
