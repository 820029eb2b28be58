"""The leaderboard as a short table for a terminal."""

from __future__ import annotations

from typing import NamedTuple

from cloakbench_leaderboards import text
from cloakbench_leaderboards.board.completeness import completeness, order
from cloakbench_leaderboards.board.number_cells import WORST, entry_number
from cloakbench_leaderboards.board.tables import TableCell
from cloakbench_leaderboards.scores import standings
from cloakbench_leaderboards.scores.evidence import BoardEntry, Evidence


class Summary(NamedTuple):
    """The numbers of a leaderboard in rows of words."""

    heads: list[str]
    rows: list[list[str]]
    """One per entry, in the order of the front page: name, P at each point, the worst case, missing runs."""
    notes: list[str]
    """What a reader has to know."""


def summary(evidence: Evidence) -> Summary:
    """Returns P of every entry with its 95 % interval at each operating point, the worst case and what is missing."""
    keys = [standings.stop_key(stop) for stop in evidence.setting.stops]
    keys = [key for key in [*keys, WORST] if key in evidence.standings.columns]
    heads = ["entry"]
    for key in keys:
        heads.append(evidence.standings.columns[key].title)
    heads += ["runs missing", "rank"]
    entries = order(evidence)
    runs = completeness(evidence)
    rows = []
    for entry in (*entries.complete, *entries.incomplete, *entries.controls):
        if entry.name not in evidence.standings.rows:
            continue  # the floor has P 1 by definition and no column
        cells = [entry.label]
        for key in keys:
            cells.append(_words(entry_number(evidence, entry, key)))
        missing = runs[entry.name].planned - runs[entry.name].measured
        rows.append([*cells, str(missing), _rank(evidence, entry)])
    attack = text.name(evidence.rank_attack)
    notes = [f"P against {attack}: 0 is no protection, 1 is complete protection; in brackets the 95 % interval."]
    return Summary(heads, rows, notes)


def _words(cell: TableCell) -> str:
    return f"{cell.text} ({cell.detail})" if cell.detail else cell.text


def _rank(evidence: Evidence, entry: BoardEntry) -> str:
    place = evidence.standings.places.get(entry.name)
    if place is not None:
        return str(place.rank)
    return "control" if entry.is_control else "none"
