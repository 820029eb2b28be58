"""What changed since the last board, and why: moves in rank and P of every entry, with the cause from the recipes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path, PurePath

from pydantic import BaseModel, ConfigDict, ValidationError

from cloakbench.files import read_regular, to_json, write_below
from cloakbench.schemas.record import Record
from cloakbench_leaderboards import text
from cloakbench_leaderboards.data.selection import CellAddress, cell
from cloakbench_leaderboards.data.trust import ARMS
from cloakbench_leaderboards.scores.evidence import Evidence
from cloakbench_leaderboards.versions.changes import changes, field_words

SAME = 1e-9
"""P that differs by less is the same."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LastStanding(_Frozen):
    """One entry on one board."""

    version: str
    rank: int | None
    """None where it has no place, as controls have none."""
    p: float | None
    """The number that decides the rank."""
    records: list[str]
    """Addresses of its records: key/environment class."""


BOARDS = "boards"
"""Folder of a store with the last board of each suite."""


class State(_Frozen):
    """One board as the next one is compared with it."""

    suite: str
    version: int
    updated: str
    """Date of its newest record."""
    column: str
    """Which number `p` is."""
    standings: dict[str, LastStanding]


class MoveKind(StrEnum):
    """The difference between two boards for one entry."""

    NEW = "new"
    GONE = "gone"
    MOVED = "moved"
    CHANGED = "changed"
    """Rank and P are as before, but not its records or version."""


class Move(_Frozen):
    """The difference for one entry."""

    protection: str
    what: MoveKind
    version: str
    rank_before: int | None
    rank: int | None
    p_before: float | None
    p: float | None
    causes: dict[str, list[str]]
    """Words by kind of cause: code, weights, environment, data, suite, cells, others."""


class Changes(_Frozen):
    """From the last board to this one."""

    suite: str
    version: int
    before: str
    """Date of the last board's newest record, empty where there was none."""
    after: str
    column: str
    moves: list[Move]


class LastBoard(_Frozen):
    """The last board and its changes against the board before, as a store holds them."""

    state: State
    changes: Changes


def read(store: Path, suite: str) -> LastBoard | None:
    """Returns the stored account of the last board of a suite; None where there is none, or none that can be read."""
    try:
        return LastBoard.model_validate_json(read_regular(store / BOARDS / f"{suite}.json"))
    except (OSError, ValidationError):
        return None


def write(store: Path, board: LastBoard) -> None:
    """Writes the board that the next one is compared with."""
    write_below(store, PurePath(BOARDS, f"{board.state.suite}.json"), to_json(board.model_dump(mode="json")))


def state(evidence: Evidence) -> State:
    """Returns a board as the next one is compared with it."""
    suite, standings = evidence.suite, evidence.standings
    addresses: dict[str, list[str]] = {}
    for record in evidence.records:
        addresses.setdefault(record.protection.name, []).append(address(record))
    entries = {}
    for entry in evidence.entries:
        row = standings.rows.get(entry.name)
        p = math.nan if row is None else standings.rank_column.estimates[row].value
        standing = standings.places.get(entry.name)
        entries[entry.name] = LastStanding(
            version=entry.facts.version,
            rank=standing.rank if standing else None,
            p=p if math.isfinite(p) else None,
            records=sorted(addresses[entry.name]),
        )
    return State(
        suite=suite.name,
        version=suite.version,
        updated=evidence.updated[:10],
        column=standings.rank_column.title,
        standings=entries,
    )


def address(record: Record) -> str:
    """Returns under which name a state holds a record."""
    return f"{record.key}/{record.environment.env_class}"


def compare(old: State | None, new: State, records: Mapping[str, Record]) -> Changes:
    """Returns every entry that came, went or moved.

    Args:
        old: The last board; None where there was none.
        new: This board.
        records: The records of both boards by address.
    """
    before = old.standings if old else {}
    arms = _arms(before), _arms(new.standings)
    moves = []
    for name in sorted({*before, *new.standings}):
        last, now = before.get(name), new.standings.get(name)
        if last is None or now is None or _has_moved(last, now):
            moves.append(_move(name, last, now, arms, records))
    return Changes(
        suite=new.suite,
        version=new.version,
        before=old.updated if old else "",
        after=new.updated,
        column=new.column,
        moves=moves,
    )


def _has_moved(old: LastStanding, new: LastStanding) -> bool:
    return old.rank != new.rank or _differs(old.p, new.p) or old.version != new.version or old.records != new.records


def _differs(old: float | None, new: float | None) -> bool:
    if old is None or new is None:
        return old is not new
    return abs(old - new) > SAME


Arms = tuple[list[str], list[str]]
"""Addresses of the records that all scores are measured against, before and after."""


def _arms(standings: Mapping[str, LastStanding]) -> list[str]:
    addresses: list[str] = []
    for name in ARMS:
        if name in standings:
            addresses += standings[name].records
    return addresses


def _move(
    name: str, old: LastStanding | None, new: LastStanding | None, arms: Arms, records: Mapping[str, Record]
) -> Move:
    current = new or old
    return Move(
        protection=name,
        what=_kind(old, new),
        version=current.version if current else "",
        rank_before=old.rank if old else None,
        rank=new.rank if new else None,
        p_before=old.p if old else None,
        p=new.p if new else None,
        causes=_why(name, old, new, arms, records) if old and new else {},
    )


def _kind(old: LastStanding | None, new: LastStanding | None) -> MoveKind:
    if old is None:
        return MoveKind.NEW
    if new is None:
        return MoveKind.GONE
    is_same = old.rank == new.rank and not _differs(old.p, new.p)
    return MoveKind.CHANGED if is_same else MoveKind.MOVED


def _why(
    name: str, old: LastStanding, new: LastStanding, arms: Arms, records: Mapping[str, Record]
) -> dict[str, list[str]]:
    """Returns why an entry moved, in words by kind of cause."""
    why = _causes(old.records, new.records, records)
    if _differs(old.p, new.p) and name not in ARMS:
        for kind, words in _causes(*arms, records).items():
            why.setdefault(kind, []).extend(f"references: {cause}" for cause in words)
    if why:
        return why
    return {"data": ["values filled in"]} if _differs(old.p, new.p) else {"others": ["other protections moved"]}


def _causes(old: Sequence[str], new: Sequence[str], records: Mapping[str, Record]) -> dict[str, list[str]]:
    """Returns why the records at two lists of addresses differ: causes of cells in both, and cells in one alone."""
    before, after = _by_cell(old, records), _by_cell(new, records)
    causes: dict[str, list[str]] = {}
    for change in changes((before[shared], after[shared]) for shared in before.keys() & after.keys()):
        causes.setdefault(change.component, []).append(field_words(change))
    lost = len(set(old)) - len(before)
    more, fewer = len(after.keys() - before.keys()) - lost, len(before.keys() - after.keys())
    counts = []
    for count, word in ((more, "more"), (fewer, "fewer")):
        if count > 0:
            counts.append(f"{count} {word}")
    if lost:
        counts.append(f"{lost} records of the last board are gone")
    if counts:
        causes["cells"] = counts
    return causes


def _by_cell(addresses: Sequence[str], records: Mapping[str, Record]) -> dict[CellAddress, Record]:
    """Returns the records by cell, whatever strength a search ended at for a target."""
    by_cell = {}
    for address_ in addresses:
        if address_ in records:
            record = records[address_]
            anywhere = record if record.target is None else record.model_copy(update={"strength": 0.0})
            by_cell[cell(anywhere)] = record
    return by_cell


def words(changes: Changes) -> list[str]:
    """Returns one line for each move."""
    sentences = []
    for move in changes.moves:
        sentences.append(f"{text.name(move.protection)}: {_sentence(move)}")
    return sentences


def _sentence(move: Move) -> str:
    if move.what is MoveKind.GONE:
        return "gone from the board"
    rank, p = _rank(move.rank), _p(move.p)
    if move.what is MoveKind.NEW:
        return f"new, version {move.version}: {rank}, {p}"
    by_kind = []
    for kind, words in move.causes.items():
        by_kind.append(f"{kind}: {', '.join(words)}")
    causes = "; ".join(by_kind)
    if move.what is MoveKind.CHANGED:
        return f"{rank}, {p} as before; {causes}"
    return f"{_rank(move.rank_before)} to {rank}, {_p(move.p_before)} to {p}; {causes}"


def _rank(rank: int | None) -> str:
    return "no rank" if rank is None else f"rank {rank}"


def _p(p: float | None) -> str:
    return "no P" if p is None else f"P {text.number(p)}"
