"""How far a result may be trusted: derived from records and verified signatures, never entered by hand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cloakbench.schemas.kinds import Role
from cloakbench.schemas.record import Record
from cloakbench.store import signing
from cloakbench_leaderboards.data.selection import select

MAINTAINERS = "run by maintainers"
REPRODUCED = "reproduced"
SELF_REPORTED = "self-reported"
ARMS = tuple(role for role in Role if not role.changes_images)
"""Roles that every score is measured against: an entry is as trustworthy as they are."""
AGREES = 0.05
"""Largest difference of P over all cells between the board's environment class and one that reproduces it."""


@dataclass(frozen=True, slots=True)
class Trust:
    """A label with the evidence for it in words."""

    label: str
    words: str


def labels(records: Sequence[Record], signed: Mapping[str, str], primary: str) -> dict[str, Trust]:
    """Returns the trust label of every protection and control by name; without evidence it is the lowest.

    Args:
        records: All records of one suite version, of every environment class.
        signed: Name of the allowed signer by the digest of a record (`cloakbench.store.signing.digest`).
        primary: The metric that P is made of.
    """
    by_name: dict[str, list[Record]] = {}
    arms: list[Record] = []
    for record in select(list(records)).records:
        by_name.setdefault(record.protection.name, []).append(record)
        if record.protection.role in ARMS:
            arms.append(record)
    by_class: dict[str, dict[str, Record]] = {}
    for record in records:
        by_class.setdefault(record.environment.env_class, {})[record.key] = record
    trust = {}
    for name, own in sorted(by_name.items()):
        needed = list({record.key: record for record in [*own, *arms]}.values())
        trust[name] = _signed(needed, signed) or _reproduced(own, needed, by_class, primary)
    return trust


def _signed(needed: Sequence[Record], signed: Mapping[str, str]) -> Trust | None:
    if not signed:
        return None
    signers = set()
    for record in needed:
        signers.add(signed.get(signing.digest(record), ""))
    if "" in signers:
        return None
    return Trust(MAINTAINERS, f"all {len(needed)} records signed by {', '.join(sorted(signers))}")


def _reproduced(
    own: Sequence[Record], needed: Sequence[Record], by_class: Mapping[str, Mapping[str, Record]], primary: str
) -> Trust:
    expected = _p(own, needed, primary)
    count = 1
    for env_class, records in by_class.items():
        if env_class == needed[0].environment.env_class or not _have_same_ends(needed, records):
            continue
        p = _p(_same(own, records), _same(needed, records), primary)
        count += expected is not None and p is not None and abs(p - expected) <= AGREES
    if count > 1:
        return Trust(f"{REPRODUCED} in {count} environments", f"every cell; P differs by at most {AGREES:g}")
    return Trust(SELF_REPORTED, "run once, by its submitter; nobody has repeated or signed it")


def _have_same_ends(needed: Sequence[Record], records: Mapping[str, Record]) -> bool:
    """Returns whether another environment class holds every needed cell, ended in the same way."""
    for record in needed:
        again = records.get(record.key)
        if again is None or again.status != record.status:
            return False
    return True


def _same(cells: Sequence[Record], records: Mapping[str, Record]) -> list[Record]:
    """Returns the records of the same cells in another environment class."""
    return [records[record.key] for record in cells]


def _p(own: Sequence[Record], needed: Sequence[Record], primary: str) -> float | None:
    """Returns P over all cells together, None where an arm or every value is missing."""
    by_role: dict[Role, list[Record]] = defaultdict(list)
    for record in needed:
        by_role[record.protection.role].append(record)
    clean, floor = _mean(by_role[Role.IDENTITY], primary), _mean(by_role[Role.FLOOR], primary)
    value = _mean(own, primary)
    if clean is None or floor is None or value is None or floor == clean:
        return None
    return (value - clean) / (floor - clean)


def _mean(records: Sequence[Record], primary: str) -> float | None:
    means = []
    for record in records:
        values = record.generations.get(primary)
        if values:
            means.append(sum(values) / len(values))
    return sum(means) / len(means) if means else None
