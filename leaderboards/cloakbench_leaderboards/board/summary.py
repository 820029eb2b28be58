"""The leaderboard as a short table for a terminal."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import NamedTuple

from cloakbench.store.reading import load
from cloakbench_leaderboards import text
from cloakbench_leaderboards.board.completeness import completeness, order
from cloakbench_leaderboards.board.headline import column
from cloakbench_leaderboards.board.number_cells import WORST, entry_number
from cloakbench_leaderboards.board.ranking_words import no_ranking
from cloakbench_leaderboards.board.tables import TableCell
from cloakbench_leaderboards.scores import standings
from cloakbench_leaderboards.scores.barriers import Barrier
from cloakbench_leaderboards.scores.evidence import BoardEntry, Evidence, gather
from cloakbench_leaderboards.scores.statistics import MIN_ARTISTS, too_few


class Summary(NamedTuple):
    """The numbers of a leaderboard in rows of words."""

    heads: list[str]
    rows: list[list[str]]
    """One per protection, in the order of the front page: name, P at each point, the worst case, missing runs."""
    notes: list[str]
    """What a reader has to know."""


def summary(evidence: Evidence) -> Summary:
    """Returns P of every protection with its 95 % interval at each limit, the worst case and what is missing."""
    keys = [standings.stop_key(stop) for stop in evidence.setting.stops]
    keys = [key for key in [*keys, WORST] if key in evidence.standings.columns]
    heads = ["protection"]
    for key in keys:
        heads.append(_title(evidence, key))
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
    has_intervals = len(evidence.artists) >= MIN_ARTISTS
    brackets = "in brackets the 95 % interval" if has_intervals else too_few(len(evidence.artists))
    note = f"P against {text.name(evidence.rank_attack)}: 0 is no protection, 1 is complete protection; {brackets}."
    reason = no_ranking(evidence)
    return Summary(heads, rows, [note, reason] if reason else [note])


def lacks(source: Path, suite: str | None, protection: str) -> list[str]:
    """Returns in sentences what a protection's records lack of the suite's plan and of a rank; empty where nothing.

    Args:
        source: Store or reference folder.
        suite: Name of the suite, where the source holds several.
        protection: Spelling of the protection.

    Raises:
        UserError: There are no records.
    """
    evidence = gather(load(source, suite))
    runs = completeness(evidence).get(protection)
    if runs is None:
        return []
    sentences = []
    if runs.measured < runs.planned:
        sentences.append(
            f"{protection} has {runs.measured} of the {runs.planned} cells that {evidence.suite.name} plans."
        )
    reason = evidence.standings.unranked.get(protection)
    if reason is None or reason.barrier is Barrier.ALONE:  # a leaderboard has other entries
        return sentences
    if runs.needed:
        command = f"cloakbench run {evidence.suite.name} --protection {shlex.quote(protection)}"
        sentences.append(f"A rank needs {runs.needed} more cells: {command}")
    else:
        sentences.append(f"These records give {protection} no rank: {text.plain(reason.words)}.")
    return sentences


def _title(evidence: Evidence, key: str) -> str:
    """Returns the head of a column: P at a stop by the name of its visibility limit."""
    if key == WORST:
        return evidence.standings.columns[key].title
    return column(evidence, key).label


def _words(cell: TableCell) -> str:
    return f"{cell.text} ({cell.detail})" if cell.detail else cell.text


def _rank(evidence: Evidence, entry: BoardEntry) -> str:
    standing = evidence.standings.places.get(entry.name)
    if standing is not None:
        return str(standing.rank)
    return "reference" if entry.is_control else "none"
