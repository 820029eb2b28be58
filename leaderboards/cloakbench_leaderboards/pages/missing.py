"""What is missing: how many runs each entry lacks, what they keep it from, and the command that makes them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from cloakbench.schemas.kinds import Role
from cloakbench_leaderboards import text
from cloakbench_leaderboards.board.completeness import Completeness
from cloakbench_leaderboards.board.view import GapView
from cloakbench_leaderboards.data import coverage
from cloakbench_leaderboards.data.coverage import Gap
from cloakbench_leaderboards.data.frames import CellStatus
from cloakbench_leaderboards.parts import addresses, commands
from cloakbench_leaderboards.parts.lookup import Lookup
from cloakbench_leaderboards.scores.evidence import BoardEntry


@dataclass(frozen=True, slots=True)
class MissingEntry:
    """The runs that one entry lacks."""

    label: str
    page: str
    """Page of the entry; empty for the floor, which has none."""
    words: str
    """How many runs it lacks, by what became of them and what they are for."""
    command: str
    rows: tuple[GapView, ...]
    """One per outcome, reason, strengths and artists: attacks that share these stand in one row."""


def entries(lookup: Lookup, runs: Mapping[str, Completeness]) -> tuple[MissingEntry, ...]:
    """Returns the entries that lack runs: those that lack some for a rank first, then those that lack most."""
    by_entry: dict[str, list[Gap]] = {}
    for gap in lookup.evidence.gaps:
        by_entry.setdefault(gap.protection, []).append(gap)
    lacking = []
    for entry in lookup.evidence.entries:
        if entry.name in by_entry:
            lacking.append(entry)
    lacking.sort(key=lambda entry: (-runs[entry.name].needed, -_cells(by_entry[entry.name]), entry.name))
    views = []
    for entry in lacking:
        views.append(_view(lookup, entry, by_entry[entry.name], runs[entry.name].needed))
    return tuple(views)


def _view(lookup: Lookup, entry: BoardEntry, gaps: list[Gap], needed: int) -> MissingEntry:
    evidence = lookup.evidence
    return MissingEntry(
        label=entry.label,
        page="" if entry.facts.role == Role.FLOOR else addresses.protection(entry.name),
        words=_words(gaps, needed),
        command=commands.run(evidence.suite, evidence.records[0].salt_digest, entry.facts),
        rows=tuple(_rows(gaps)),
    )


def _words(gaps: Iterable[Gap], needed: int) -> str:
    by_status: dict[CellStatus, int] = {}
    for gap in gaps:
        by_status[gap.status] = by_status.get(gap.status, 0) + gap.cells
    absent = by_status.pop(CellStatus.ABSENT, 0)
    parts = []
    if absent:
        runs = f"{absent:,} run{'s' * (absent != 1)} not made yet"
        parts.append(f"{runs}, {needed:,} of them needed for a rank" if needed else runs)
    for status, cells in sorted(by_status.items()):
        parts.append(f"{cells:,} ended as {status}")
    return "; ".join(parts)


def _rows(gaps: Iterable[Gap]) -> Iterator[GapView]:
    def shared(gap: Gap) -> tuple[str, str, str]:
        return (gap.status, text.plain(gap.reason), coverage.where(gap))

    for (status, reason, where), group in itertools.groupby(sorted(gaps, key=shared), key=shared):
        attacks = [text.name(gap.attack) for gap in group]
        per_attack = f"{where}, for each attack" if len(attacks) > 1 else where
        yield GapView(text.listed(attacks, len(attacks)), per_attack, status, reason)


def _cells(gaps: Iterable[Gap]) -> int:
    return sum(gap.cells for gap in gaps)


def in_one_sentence(runs: Iterable[Completeness]) -> str:
    """Returns how many runs are missing or failed, over all entries.

    Example:
        >>> in_one_sentence([Completeness(measured=90, failed=1, planned=100, needed=4)])
        '4 runs are missing for ranks and 5 for full curves; 1 failed or had no measurement.'
        >>> in_one_sentence([Completeness(measured=100, failed=0, planned=100, needed=0)])
        'Every planned run has a measurement.'
    """
    needed = failed = absent = 0
    for entry in runs:
        needed += entry.needed
        failed += entry.failed
        absent += entry.planned - entry.measured - entry.failed
    if not absent and not failed:
        return "Every planned run has a measurement."
    further = max(absent - needed, 0)
    sentence = f"{needed:,} runs are missing for ranks and {further:,} for full curves"
    if not needed:
        sentence = f"{further:,} runs are missing, none of them for a rank" if further else "No run is missing"
    return f"{sentence}; {failed:,} failed or had no measurement."
