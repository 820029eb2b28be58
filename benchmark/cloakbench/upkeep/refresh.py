"""`cloakbench refresh`: runs what a board lacks or what is stale, and builds it anew with what changed and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from cloakbench.cells.plan import Cell
from cloakbench.runs import canaries
from cloakbench.runs import session as sessions
from cloakbench.runs.choice import Choice
from cloakbench.runs.executors import ExecutorOptions, choose
from cloakbench.runs.rescore import rescore
from cloakbench.runs.session import Session
from cloakbench.schemas.kinds import Status
from cloakbench.schemas.record import Record
from cloakbench.store import reading, seeds
from cloakbench.store.store import Store
from cloakbench_leaderboards.history import history, last_board
from cloakbench_leaderboards.history.last_board import Changes, LastBoard, State
from cloakbench_leaderboards.site import site
from cloakbench_leaderboards.versions import drift
from cloakbench_leaderboards.versions.changes import changes

LOCK = "refresh.lock"
NEW, METRICS_ONLY, MERGED = "no record yet", "metrics only", "merged, has not run here"


@dataclass(frozen=True, slots=True)
class Due:
    """What one protection lacks: cells by reason, of which `rescored` need no attack."""

    protection: str
    missing: int
    rescored: int
    reasons: dict[str, int]


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a refresh did; `busy` where another one works on this store and this one did nothing."""

    busy: bool = False
    rescored: int = 0
    ran: int = 0
    lost: int = 0
    """Cells that met a fault of disk, memory or harness: the next refresh tries them again."""
    canaries: list[str] = field(default_factory=list)
    """One line for each control cell that ran once more, to see whether the environment still gives the same."""
    page: Path | None = None
    moved: list[str] = field(default_factory=list)
    """One line for each entry that came, went or moved since the last board."""


def refresh(choice: Choice, root: Path, out: Path, options: ExecutorOptions, unofficial: bool = False) -> Refreshed:
    """Brings records and board of a suite up to date; a second call at the same time does nothing.

    Records whose metrics alone are old are measured again from what the store kept; then only what is missing runs.
    It may be killed at any moment and called again. Raises UserError where a check with known
    answers fails, unless `unofficial`.
    """
    Store(root).prepare()
    lock = FileLock(root / LOCK, blocking=False)
    try:
        lock.acquire()
    except Timeout:
        return Refreshed(busy=True)
    try:
        return _refresh(choice, root, out, options, unofficial)
    finally:
        lock.release()


def _refresh(choice: Choice, root: Path, out: Path, options: ExecutorOptions, unofficial: bool) -> Refreshed:
    written = _rescored(choice, root)
    session = sessions.plan(choice, root)
    ran = sessions.run(session, choose(options, session))
    drift_lines = _drift(session)
    page, moves = rebuild(root, out, session.suite.name, unofficial)
    lost = sum(record.status.is_retried for record in ran)
    return Refreshed(False, written, len(ran), lost, drift_lines, page, last_board.words(moves))


def _rescored(choice: Choice, root: Path) -> int:
    """Computes missing metrics that need no attack; not for official runs, because `rescore` has no salt."""
    if choice.salt_file is not None or choice.model is not None:
        return 0
    return rescore(choice.suite, root, choice.images).written


def _drift(session: Session) -> list[str]:
    ran = canaries.rerun(session)
    if not ran:
        return []
    records = reading.load(session.store.root, session.suite.name).records
    return [drift.sentence(change) for change in drift.drift(records, ran, session.suite.metrics.primary)]


def rebuild(root: Path, out: Path, suite: str, unofficial: bool = False) -> tuple[Path, Changes]:
    """Builds a board and the account of what changed since the last one; returns its front page and the account.

    The account is kept in the store and stays until the next board differs, so that a repeated call loses nothing.
    """
    material = site.material(root, suite, unofficial)
    now, last = last_board.state(material.evidence), last_board.read(root, suite)
    if last is None or last.state != now:
        before = last.state if last else None
        last = LastBoard(state=now, changes=last_board.compare(before, now, _by_address(root, before, now)))
        last_board.write(root, last)
    history.remember(root, suite)
    return site.put(material, out), last.changes


def _by_address(root: Path, *states: State | None) -> dict[str, Record]:
    """Returns the records that the standings of two boards are made of, by address."""
    addresses: set[str] = set()
    for state in states:
        for standing in state.standings.values() if state else ():
            addresses.update(standing.records)
    by_address = {}
    for record in reading.records(root):
        if isinstance(record, Record) and last_board.address(record) in addresses:
            by_address[last_board.address(record)] = record
    return by_address


def due(choice: Choice, root: Path) -> list[Due]:
    """Returns what each protection lacks and why, without running or writing anything."""
    session = sessions.plan(choice, root)
    older, salt = _older(session), seeds.salt_digest(session.planner.salt)
    tallies: dict[str, Counter[str]] = {}
    for cell in session.missing():
        reason = _reason(cell, older.get(_address_of(cell), []), salt)
        tallies.setdefault(cell.entry.facts.name, Counter())[reason] += 1
    rows = []
    for name, tally in tallies.items():
        rows.append(Due(name, tally.total(), tally[METRICS_ONLY], dict(sorted(tally.items()))))
    return rows


Address = tuple[str, float | None, float | None, str, str, int]


def _address_of(cell: Cell) -> Address:
    strength = None if cell.target is not None else cell.strength
    return (cell.entry.facts.name, strength, cell.target, cell.artist.name, cell.attack.name, cell.seed)


def _older(session: Session) -> dict[Address, list[Record]]:
    """Returns the readable records of each cell of the suite in this environment class, of any recipe."""
    by_address: dict[Address, list[Record]] = {}
    for record in reading.records(session.store.root):
        if not isinstance(record, Record) or record.suite != session.suite.name:
            continue
        if record.environment.env_class == session.environment.env_class:
            strength = None if record.target is not None else record.strength
            address = (record.protection.name, strength, record.target, record.artist, record.attack.name, record.seed)
            by_address.setdefault(address, []).append(record)
    return by_address


def _reason(cell: Cell, older: Sequence[Record], salt: str) -> str:
    """Returns why a cell has to run: what separates it from the record that is nearest to it."""
    for record in older:
        if record.key == cell.key:
            return f"to be tried again: {record.status}" if record.status.is_retried else MERGED
    if not older:
        return NEW
    planned = {"components": cell.recipes.content(), "salt_digest": salt}
    differences = [(changes([(record, record.model_copy(update=planned))]), record.status) for record in older]
    nearest, status = min(differences, key=_count_changes)
    if status is Status.OK and all(change.field.startswith("measure.") for change in nearest):
        return METRICS_ONLY
    return "stale: " + ", ".join(dict.fromkeys(change.component for change in nearest))


def _count_changes(difference: tuple[Sequence[object], Status]) -> int:
    return len(difference[0])
