"""What changed since the last board, and why: moves in rank and P of every entry, with the cause from the recipes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from cloakbench.files import to_json, write_whole
from cloakbench.schemas.record import Record
from cloakbench_leaderboards import text
from cloakbench_leaderboards.data.selection import cell
from cloakbench_leaderboards.data.trust import ARMS
from cloakbench_leaderboards.scores.evidence import Evidence
from cloakbench_leaderboards.versions.changes import changes, sentence

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
    """The number that carries the rank."""
    records: list[str]
    """Addresses of its records: key/environment class."""


BOARDS = "boards"
"""Folder of a store that says of each suite what its last board was, and what changed to it."""


class State(_Frozen):
    """One board as the next one is compared with it."""

    suite: str
    version: int
    updated: str
    """Date of its newest record."""
    column: str
    """Which number `p` is."""
    standings: dict[str, LastStanding]


class Move(_Frozen):
    """What became of one entry; `causes` are words by kind: code, weights, environment, data, suite, cells, others."""

    protection: str
    what: str
    """`new`, `gone`, `moved`, or `changed` where rank and P are as before."""
    version: str
    rank_before: int | None
    rank: int | None
    p_before: float | None
    p: float | None
    causes: dict[str, list[str]]


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
    """What a store keeps of the last board."""

    state: State
    changes: Changes


def read(store: Path, suite: str) -> LastBoard | None:
    """Returns what a store says about the last board of a suite; None where it says nothing, or nothing readable."""
    try:
        return LastBoard.model_validate_json((store / BOARDS / f"{suite}.json").read_bytes())
    except (OSError, ValidationError):
        return None


def write(store: Path, kept: LastBoard) -> None:
    """Keeps a board as the one that the next is compared with."""
    write_whole(store / BOARDS / f"{kept.state.suite}.json", to_json(kept.model_dump(mode="json")))


def state(evidence: Evidence) -> State:
    """Returns a board as the next one is compared with it."""
    suite, found = evidence.suite, evidence.standings
    held: dict[str, list[str]] = {}
    for record in evidence.records:
        held.setdefault(record.protection.name, []).append(address(record))
    values = dict(zip(found.names, (each.value for each in found.rank_column.estimates), strict=True))
    standings = {
        entry.name: LastStanding(
            version=entry.facts.version,
            rank=found.places[entry.name].rank if entry.name in found.places else None,
            p=_finite(values.get(entry.name, math.nan)),
            records=sorted(held[entry.name]),
        )
        for entry in evidence.entries
    }
    updated = max(record.created for record in evidence.records)[:10]
    return State(
        suite=suite.name, version=suite.version, updated=updated, column=found.rank_column.title, standings=standings
    )


def address(record: Record) -> str:
    """Returns under which name a state holds a record."""
    return f"{record.key}/{record.environment.env_class}"


def compare(old: State | None, new: State, records: Mapping[str, Record]) -> Changes:
    """Returns every entry that came, went or moved; `records` are those of both boards by address."""
    before = old.standings if old else {}
    moves = [
        _move(name, before.get(name), new.standings.get(name), _arms(before, new.standings), records)
        for name in sorted({*before, *new.standings})
        if _has_moved(before.get(name), new.standings.get(name))
    ]
    return Changes(
        suite=new.suite,
        version=new.version,
        before=old.updated if old else "",
        after=new.updated,
        column=new.column,
        moves=moves,
    )


def _has_moved(old: LastStanding | None, new: LastStanding | None) -> bool:
    if old is None or new is None:
        return True
    return old.rank != new.rank or _differs(old.p, new.p) or old.version != new.version or old.records != new.records


def _differs(old: float | None, new: float | None) -> bool:
    if old is None or new is None:
        return old is not new
    return abs(old - new) > SAME


Arms = tuple[list[str], list[str]]
"""Addresses of the records that all scores are measured against, before and after."""


def _arms(old: Mapping[str, LastStanding], new: Mapping[str, LastStanding]) -> Arms:
    before, after = ([a for name in ARMS if name in of for a in of[name].records] for of in (old, new))
    return before, after


def _move(
    name: str, old: LastStanding | None, new: LastStanding | None, arms: Arms, records: Mapping[str, Record]
) -> Move:
    why: dict[str, list[str]] = {}
    if old and new:
        why = _causes(old.records, new.records, records)
        if _differs(old.p, new.p):
            for kind, words in _causes(*arms, records).items():
                why.setdefault(kind, []).extend(f"controls: {each}" for each in words if name not in ARMS)
        why = {kind: words for kind, words in why.items() if words}
        if not why:
            why = {"others": ["other entries moved"]} if not _differs(old.p, new.p) else {"data": ["values filled in"]}
    known = new or old
    is_same = old and new and old.rank == new.rank and not _differs(old.p, new.p)
    return Move(
        protection=name,
        what="changed" if is_same else "moved" if old and new else "new" if new else "gone",
        version=known.version if known else "",
        rank_before=old.rank if old else None,
        rank=new.rank if new else None,
        p_before=old.p if old else None,
        p=new.p if new else None,
        causes=why,
    )


def _causes(old: Sequence[str], new: Sequence[str], records: Mapping[str, Record]) -> dict[str, list[str]]:
    """Returns why the records at two lists of addresses differ: causes of cells in both, and cells in one alone."""
    before, after = (
        {_place(records[each]): records[each] for each in addresses if each in records} for addresses in (old, new)
    )
    found: dict[str, list[str]] = {}
    for change in changes((before[place], after[place]) for place in before.keys() & after.keys()):
        found.setdefault(change.component, []).append(sentence(change).partition(": ")[2])
    lost = len(set(old)) - len(before)
    more, fewer = len(after.keys() - before.keys()) - lost, len(before.keys() - after.keys())
    told = [f"{count} {word}" for count, word in ((more, "more"), (fewer, "fewer")) if count > 0]
    told += [f"{lost} records of the last board are gone"] if lost else []
    return {**found, **({"cells": told} if told else {})}


def _place(record: Record) -> tuple[object, ...]:
    """Returns which cell a record is of, whatever strength was found for its target."""
    return cell(record if record.target is None else record.model_copy(update={"strength": 0.0}))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def words(changes: Changes) -> list[str]:
    """Returns one line for each move."""
    return [f"{text.name(move.protection)}: {_said(move)}" for move in changes.moves]


def _said(move: Move) -> str:
    if move.what == "gone":
        return "gone from the board"
    rank = "no rank" if move.rank is None else f"rank {move.rank}"
    p = "no P" if move.p is None else f"P {text.number(move.p)}"
    if move.what == "new":
        return f"new, version {move.version}: {rank}, {p}"
    because = "; ".join(f"{kind}: {', '.join(all_)}" for kind, all_ in move.causes.items())
    if move.what == "changed":
        return f"{rank}, {p} as before; {because}"
    was_rank = "no rank" if move.rank_before is None else f"rank {move.rank_before}"
    was_p = "no P" if move.p_before is None else f"P {text.number(move.p_before)}"
    return f"{was_rank} to {rank}, {was_p} to {p}; {because}"
