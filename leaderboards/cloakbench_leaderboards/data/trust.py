"""How far a result may be trusted: worked out from records and verified signatures, never typed by anybody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cloakbench.schemas.record import Record
from cloakbench.store import signing
from cloakbench_leaderboards.data.selection import select

MAINTAINERS = "run by maintainers"
REPRODUCED = "reproduced"
SELF_REPORTED = "self-reported"
ARMS = ("identity", "floor")
"""Roles that every score is measured against: an entry is as trustworthy as they are."""
AGREES = 0.05
"""How far P over all cells may lie from the board's in another environment class that reproduces it."""


@dataclass(frozen=True, slots=True)
class Trust:
    """A label with the evidence for it in words."""

    label: str
    words: str


def labels(records: Sequence[Record], signed: Mapping[str, str], primary: str) -> dict[str, Trust]:
    """Returns the trust label of every protection and control by name; without evidence it is the lowest.

    Args:
        records: All records of one suite version, of every environment class.
        signed: Who of the allowed signers vouches for which record, by `cloakbench.store.signing.digest`.
        primary: The metric that P is made of.
    """
    shown = select(list(records)).records
    arms = [record for record in shown if record.protection.role in ARMS]
    classes = _by_class(records)
    found = {}
    for name in sorted({record.protection.name for record in shown}):
        own = [record for record in shown if record.protection.name == name]
        needed = list({record.key: record for record in [*own, *arms]}.values())
        found[name] = _signed(needed, signed) or _reproduced(own, needed, classes, primary)
    return found


def _signed(needed: Sequence[Record], signed: Mapping[str, str]) -> Trust | None:
    if not signed:
        return None
    names = {signed.get(signing.digest(record), "") for record in needed}
    if "" in names:
        return None
    return Trust(MAINTAINERS, f"all {len(needed)} records signed by {', '.join(sorted(names))}")


def _reproduced(
    own: Sequence[Record], needed: Sequence[Record], classes: Mapping[str, Mapping[str, Record]], primary: str
) -> Trust:
    here = needed[0].environment.env_class
    expected = _p(own, needed, primary)
    count = 1
    for where, held in classes.items():
        if where == here or not all(_is_same_end(record, held.get(record.key)) for record in needed):
            continue
        theirs = _p([held[record.key] for record in own], [held[record.key] for record in needed], primary)
        count += expected is not None and theirs is not None and abs(theirs - expected) <= AGREES
    if count > 1:
        return Trust(f"{REPRODUCED} in {count} environments", f"every cell; P differs by at most {AGREES:g}")
    return Trust(SELF_REPORTED, "from one environment, signed by nobody whose signature counts")


def _is_same_end(record: Record, other: Record | None) -> bool:
    return other is not None and other.status == record.status


def _by_class(records: Sequence[Record]) -> dict[str, dict[str, Record]]:
    classes: dict[str, dict[str, Record]] = {}
    for record in records:
        classes.setdefault(record.environment.env_class, {})[record.key] = record
    return classes


def _p(own: Sequence[Record], needed: Sequence[Record], primary: str) -> float | None:
    """Returns P over all cells together, None where an arm or every value is missing."""
    clean = _mean([record for record in needed if record.protection.role == "identity"], primary)
    floor = _mean([record for record in needed if record.protection.role == "floor"], primary)
    value = _mean(own, primary)
    if clean is None or floor is None or value is None or floor == clean:
        return None
    return (value - clean) / (floor - clean)


def _mean(records: Sequence[Record], primary: str) -> float | None:
    values = [sum(row) / len(row) for record in records if (row := record.generations.get(primary))]
    return sum(values) / len(values) if values else None
