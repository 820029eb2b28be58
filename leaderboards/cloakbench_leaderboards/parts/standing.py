"""The standing of one entry: its rank and every number of the board."""

from __future__ import annotations

from dataclasses import dataclass

from cloakbench_leaderboards.board.headline import rank_cell
from cloakbench_leaderboards.board.number_cells import AREA, RETENTION, number_cell
from cloakbench_leaderboards.board.tables import TableCell, clipped
from cloakbench_leaderboards.board.words import stop_name
from cloakbench_leaderboards.parts.lookup import Lookup
from cloakbench_leaderboards.scores.evidence import BoardEntry
from cloakbench_leaderboards.scores.standings import RankColumn, stop_key


@dataclass(frozen=True, slots=True)
class Number:
    """One number with its name."""

    label: str
    cell: TableCell
    decides_rank: bool


def numbers(lookup: Lookup, entry: BoardEntry) -> tuple[Number, ...]:
    """Returns the rank, then every column of the board, the one that decides the rank among them."""
    standings = lookup.evidence.standings
    columns = {**standings.columns, standings.rank_column.key: standings.rank_column}
    views = [Number("Rank", rank_cell(lookup.evidence, entry), False)]
    for column in columns.values():
        views.append(Number(title(lookup, column), _cell(lookup, column, entry), column is standings.rank_column))
    return tuple(views)


def title(lookup: Lookup, column: RankColumn) -> str:
    """Returns the name of a column: P at a visibility limit by the name of the limit."""
    for number, stop in enumerate(lookup.evidence.setting.stops):
        if stop.limits and stop_key(stop) == column.key:
            return f"P, {stop_name(number)} ({stop.label})"
    return column.title


def _cell(lookup: Lookup, column: RankColumn, entry: BoardEntry) -> TableCell:
    row = lookup.evidence.standings.rows[entry.name]
    estimate = column.estimates[row]
    if column.key not in (RETENTION, AREA):
        estimate = clipped(estimate, None, 1.0)
    return number_cell(column.values[row], estimate, lookup.evidence.suite.demonstration)
