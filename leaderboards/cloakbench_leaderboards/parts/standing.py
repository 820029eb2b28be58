"""Where one entry stands: its rank and every number of the front page."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from cloakbench_leaderboards import text
from cloakbench_leaderboards.board.headline import limits
from cloakbench_leaderboards.board.tables import TableCell, estimate_cell
from cloakbench_leaderboards.parts.lookup import Lookup
from cloakbench_leaderboards.scores.evidence import BoardEntry
from cloakbench_leaderboards.scores.setting import Value
from cloakbench_leaderboards.scores.statistics import Estimate

WORDS = ("not reached", "no signal", "not defined")
"""States that stand in place of a number; the others are a dash."""


@dataclass(frozen=True, slots=True)
class Number:
    """One number with its name."""

    label: str
    cell: TableCell
    is_carrier: bool
    """Whether it carries the rank."""


def numbers(look: Lookup, entry: BoardEntry) -> tuple[Number, ...]:
    """Returns the rank, then every column of the front page."""
    found = look.evidence.standings
    columns = {**found.columns, found.rank_column.key: found.rank_column}
    return (
        Number("Rank", _rank(look, entry), False),
        *(
            Number(column.title, number(*_pair(look, key, entry.name)), column is found.rank_column)
            for key, column in columns.items()
        ),
    )


def number(value: Value, estimate: Estimate) -> TableCell:
    """Returns one number of an entry, or the state that keeps it from having one, with the reason."""
    told = text.plain("; ".join(dict.fromkeys(part for part in (estimate.reason, value.note, *value.lacks) if part)))
    if not math.isfinite(estimate.value):
        return TableCell(value.state if value.state in WORDS else text.NONE, note=told, kind="state")
    return replace(estimate_cell(estimate, told), flag=" · ".join([*limits(value), *value.lacks[:1]]))


def _pair(look: Lookup, key: str, name: str) -> tuple[Value, Estimate]:
    found = look.evidence.standings
    row = found.rows[name]
    column = found.rank_column if key == found.rank_column.key else found.columns[key]
    return column.values[row], column.estimates[row]


def _rank(look: Lookup, entry: BoardEntry) -> TableCell:
    found = look.evidence.standings
    place = found.places.get(entry.name)
    if place is None:
        return TableCell(text.NONE, detail="unranked", note=text.plain(found.unranked.get(entry.name, "control")))
    interval = f"{place.best} to {place.worst}, " if place.best < place.worst else ""
    return TableCell(str(place.rank), float(place.rank), detail=f"{interval}tie group {place.group}")
