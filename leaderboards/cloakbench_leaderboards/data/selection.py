"""Which records a board may compare: one environment and salt, one version per entry, one record per cell."""

from __future__ import annotations

import math
from collections import Counter
from typing import NamedTuple

from cloakbench.schemas.kinds import Role
from cloakbench.schemas.record import Record

CellAddress = tuple[str, float, float, str, str, str, str, int]
"""Protection, strength, target (-1: none), artist, attack (empty for the floor), mimicry, model, seed."""


class SelectedRecords(NamedTuple):
    """Comparable records, and how many were left out for which reason."""

    records: list[Record]
    left_out: dict[str, int]
    """Reason -> number of records."""


def select(records: list[Record]) -> SelectedRecords:
    """Returns the records that pair: those of the largest environment class and salt, without superseded ones.

    Of several records of one cell the newest stays. A record of the same key with another result is counted apart
    from a mere repetition: the two contradict each other, and readers of the board have to know.
    """
    arms = Counter((record.environment.env_class, record.salt_digest) for record in records)
    largest = min(arms, key=lambda arm: (-arms[arm], arm))
    paired = []
    for record in records:
        if (record.environment.env_class, record.salt_digest) == largest:
            paired.append(record)
    current = _newest_versions(paired)
    newest: dict[CellAddress, Record] = {}
    contradicted = 0
    for record in sorted(current, key=_age):
        older = newest.get(cell(record))
        contradicted += older is not None and older.key == record.key and not has_same_result(older, record)
        newest[cell(record)] = record
    chosen = sorted(newest.values(), key=lambda record: (cell(record), record.key))
    counts = {
        "of another environment class or salt": len(records) - len(paired),
        "of a superseded version": len(paired) - len(current),
        "double": len(current) - len(chosen) - contradicted,
        "of a cell that a later record of the same recipe gives another result for": contradicted,
    }
    return SelectedRecords(at_shared_strengths(chosen), +Counter(counts))


def at_shared_strengths(records: list[Record]) -> list[Record]:
    """Returns the records, those of one protection and target at one strength: the mean over artists.

    Where strengths are sought on each artist's own images they differ, and the target is the operating point.
    Strength 0 says that no strength meets the target, and stays.
    """
    sought: dict[tuple[str, float], dict[str, float]] = {}
    for record in records:
        if record.target is not None and record.strength:
            by_artist = sought.setdefault((record.protection.name, record.target), {})
            by_artist[record.artist] = record.strength
    means = {}
    for point, by_artist in sought.items():
        strengths = by_artist.values()
        if len(set(strengths)) > 1:
            means[point] = round(math.fsum(strengths) / len(strengths), 4)
    shared = []
    for record in records:
        if record.target is not None and record.strength and (record.protection.name, record.target) in means:
            record = record.model_copy(update={"strength": means[record.protection.name, record.target]})
        shared.append(record)
    return shared


def has_same_result(record: Record, other: Record) -> bool:
    """Returns whether two records of one key say the same: how the cell ended, and every measured value."""
    return (record.status, record.quality, record.generations, record.sets) == (
        other.status,
        other.quality,
        other.generations,
        other.sets,
    )


def cell(record: Record) -> CellAddress:
    """Returns which cell of a board a record is of: two records of one cell count once."""
    attack = record.attack
    return (
        record.protection.name,
        # The strength of a calibrated cell is a result.
        record.strength if record.target is None else 0.0,
        -1.0 if record.target is None else record.target,
        record.artist,
        "" if record.protection.role == Role.FLOOR else attack.name,
        attack.mimicry,
        attack.model,
        record.seed,
    )


def _newest_versions(records: list[Record]) -> list[Record]:
    entries: dict[str, tuple[str, str]] = {}
    attacks: dict[str, dict[str, int]] = {}
    for record in sorted(records, key=_age):
        entries[record.protection.name] = _code(record)
        attacks[_attack(record)] = record.attack.versions
    current = []
    for record in records:
        is_newest = entries[record.protection.name] == _code(record)
        if is_newest and attacks[_attack(record)] == record.attack.versions:
            current.append(record)
    return current


def _code(record: Record) -> tuple[str, str]:
    return (record.protection.version, record.protection.package_digest)


def _attack(record: Record) -> str:
    # Stages differ by role: the floor, for one, trains on no artist.
    attack = record.attack
    return f"{record.protection.role} {attack.name} {attack.mimicry} {attack.model}"


def _age(record: Record) -> tuple[str, str]:
    return (record.created, record.key)
