"""Flags of an entry: warnings and facts that matter when its numbers are compared, all derived from records."""

from __future__ import annotations

from collections.abc import Sequence

from cloakbench.schemas.kinds import PointState
from cloakbench.schemas.record import ProtectionFacts, Record
from cloakbench_leaderboards.data.coverage import PERCEPTUAL, READY_MADE, Gap
from cloakbench_leaderboards.scores.evidence import BoardEntry, Evidence
from cloakbench_leaderboards.scores.scores import OWN_FAULT
from cloakbench_leaderboards.scores.suspicion import NOISE, RAISES, suspicions

Flags = dict[str, tuple[tuple[str, str], ...]]
"""By entry: keys of `MEANINGS` with the words that stand in the table."""
SANDBOX = "bubblewrap"
"""Isolation that hides files and the network from a submission."""
FRONT, OVER, FAILED, MISSING = "front", "over target", "failed", "missing"
NO_WALL, VARIES, READY, NO_LIMIT, SUPERSEDED = "no wall", "varies", "ready-made", "no L∞ limit", "superseded"
MEANINGS = {
    FRONT: "best of its visibility: at some measured point no protection that is less visible protects as much",
    OVER: "at a calibrated strength the artists' own images are worse than the target allows; it has no rank",
    FAILED: "cells lost by the submission's own fault (failed, too slow or invalid images): each counts as P 0",
    MISSING: "cells that were not run yet; nothing is filled in",
    NO_WALL: "its code ran, for some cells, without the sandbox that hides files and the network from it",
    VARIES: "not deterministic: the same seed may give other images",
    READY: "its images came ready-made from a closed tool, which was not run here",
    NO_LIMIT: "no limit on single pixels; compared at equal quality alone",
    RAISES: "cleaning helps it: under that countermeasure P is above P without (95 % interval of the paired difference "
    "over artists above 0, false discoveries kept to 5 %), by more than cleaning does to clean images; the attack "
    "without it may have failed for another reason, as with masked gradients",
    NOISE: "random noise that costs the images as much protects as well, as far as these artists can tell: the "
    "interval of the paired difference in the number that decides the rank is not above 0",
    SUPERSEDED: "another protection of the same distribution was measured in a newer version",
}
"""What each flag means; the page shows those that occur."""


def flags(evidence: Evidence) -> Flags:
    """Returns the flags of every entry by name."""
    records: dict[str, list[Record]] = {}
    for record in evidence.records:
        records.setdefault(record.protection.name, []).append(record)
    gaps: dict[str, list[Gap]] = {}
    for gap in evidence.gaps:
        gaps.setdefault(gap.protection, []).append(gap)
    over, old, suspicious = _over(evidence), superseded(evidence), suspicions(evidence)
    by_entry: Flags = {}
    for entry in evidence.entries:
        own: list[tuple[str, str]] = []
        if entry.name in evidence.standings.front:
            own.append((FRONT, FRONT))
        if entry.name in over:
            own.append((OVER, OVER))
        own += _counts(gaps.get(entry.name, []))
        own += _facts(entry, records[entry.name])
        own += suspicious.get(entry.name, ())
        if entry.name in old:
            own.append((SUPERSEDED, SUPERSEDED))
        by_entry[entry.name] = tuple(own)
    return by_entry


def family(name: str) -> str:
    """Returns the protection without its parameters: variants of one method are one family.

    Example:
        >>> family("impasto[base=advdm]")
        'impasto'
    """
    return name.partition("[")[0]


def superseded(evidence: Evidence) -> set[str]:
    """Returns the submissions of which another one of the same distribution was measured in a newer version."""
    newest: dict[str, Record] = {}
    for record in evidence.records:
        newer = newest.setdefault(record.protection.distribution, record)
        if (record.created, record.key) > (newer.created, newer.key):
            newest[record.protection.distribution] = record
    names = set()
    for entry in evidence.entries:
        if not entry.is_control and _code(newest[entry.facts.distribution].protection) != _code(entry.facts):
            names.add(entry.name)
    return names


def _code(facts: ProtectionFacts) -> tuple[str, str]:
    return (facts.version, facts.package_digest)


def _over(evidence: Evidence) -> set[str]:
    names = set()
    for column in evidence.standings.columns.values():
        for name, value in zip(evidence.standings.names, column.values, strict=True):
            if value.state is PointState.OVER_TARGET:
                names.add(name)
    return names


def _counts(gaps: Sequence[Gap]) -> list[tuple[str, str]]:
    failed = sum(gap.cells for gap in gaps if gap.status in OWN_FAULT)
    absent = sum(gap.cells for gap in gaps) - failed
    counts = []
    if failed:
        counts.append((FAILED, f"{failed} failed"))
    if absent:
        counts.append((MISSING, f"{absent} missing"))
    return counts


def _facts(entry: BoardEntry, records: Sequence[Record]) -> list[tuple[str, str]]:
    if entry.is_control:
        return []
    is_ready_made = entry.facts.budget == READY_MADE
    has_sandbox = all(record.isolation.startswith(SANDBOX) for record in records)
    keys = []
    if not is_ready_made and not has_sandbox:
        keys.append(NO_WALL)
    if not entry.facts.deterministic:
        keys.append(VARIES)
    if is_ready_made:
        keys.append(READY)
    if entry.facts.budget == PERCEPTUAL:
        keys.append(NO_LIMIT)
    return [(key, key) for key in keys]
