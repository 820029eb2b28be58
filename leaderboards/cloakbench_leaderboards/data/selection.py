"""Which records a board may compare: one environment and salt, one version of each entry, one record a cell."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from cloakbench.schemas.record import Record


class SelectedRecords(NamedTuple):
    """Comparable records, and how many were left out for which reason."""

    records: list[Record]
    left_out: dict[str, int]
    """Reason -> number of records."""


def select(records: list[Record]) -> SelectedRecords:
    """Returns the records that pair: those of the largest environment class and salt, without superseded ones.

    Duplicates of one cell (same key, or run again in a newer version) count once; the newest stays.
    """
    arms = Counter((each.environment.env_class, each.salt_digest) for each in records)
    chosen = min(arms, key=lambda arm: (-arms[arm], arm))
    paired = [each for each in records if (each.environment.env_class, each.salt_digest) == chosen]
    current = _newest_versions(paired)
    cells = {cell(each): each for each in sorted(current, key=_age)}
    kept = sorted(cells.values(), key=lambda each: (cell(each), each.key))
    counts = {
        "of another environment class or salt": len(records) - len(paired),
        "of a superseded version": len(paired) - len(current),
        "double": len(current) - len(kept),
    }
    return SelectedRecords(kept, {reason: count for reason, count in counts.items() if count})


def _newest_versions(records: list[Record]) -> list[Record]:
    entries: dict[str, tuple[str, str]] = {}
    attacks: dict[str, dict[str, int]] = {}
    for each in sorted(records, key=_age):
        entries[each.protection.name] = (each.protection.version, each.protection.package_digest)
        attacks[_attack(each)] = each.attack.versions
    return [
        each
        for each in records
        if entries[each.protection.name] == (each.protection.version, each.protection.package_digest)
        and attacks[_attack(each)] == each.attack.versions
    ]


def _attack(record: Record) -> str:
    # Stages differ by role: the floor, for one, trains on nobody.
    attack = record.attack
    return f"{record.protection.role} {attack.name} {attack.mimicry} {attack.model}"


def _age(record: Record) -> tuple[str, str]:
    return (record.created, record.key)


def cell(record: Record) -> tuple[str, float, float, str, str, str, str, int]:
    """Returns which cell of a board a record is of: two records of one cell are one result."""
    attack = record.attack
    is_floor = record.protection.role == "floor"
    name = "" if is_floor else attack.name
    target = -1.0 if record.target is None else record.target
    return (
        record.protection.name,
        record.strength,
        target,
        record.artist,
        name,
        attack.mimicry,
        attack.model,
        record.seed,
    )
