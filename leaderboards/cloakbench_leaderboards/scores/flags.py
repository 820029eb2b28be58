"""Flags of an entry: what a reader should know before he trusts or compares its numbers, each from records alone."""

from __future__ import annotations

from collections.abc import Sequence

from cloakbench.schemas.record import ProtectionFacts, Record
from cloakbench_leaderboards.data.coverage import PERCEPTUAL, READY_MADE, Gap
from cloakbench_leaderboards.scores.evidence import BoardEntry, Evidence
from cloakbench_leaderboards.scores.scores import OWN_FAULT
from cloakbench_leaderboards.scores.suspicion import NOISE, RAISES, suspicions

Flags = dict[str, tuple[tuple[str, str], ...]]
"""By entry: keys of `MEANINGS` with the words that stand in the table."""
WALL = "bubblewrap"
FRONT, OVER, FAILED, MISSING = "front", "over target", "failed", "missing"
NO_WALL, VARIES, READY, NO_LIMIT, SUPERSEDED = "no wall", "varies", "ready-made", "no L∞ limit", "superseded"
MEANINGS = {
    FRONT: "on the Pareto front: at some measured point nobody who shows less protects as much",
    OVER: "at a calibrated strength the artists' own images are worse than the target allows; carries no rank",
    FAILED: "cells that the submission itself lost: it failed, ran too long or gave invalid images; each counts as P 0",
    MISSING: "cells without a measurement for another reason; nothing is filled in",
    NO_WALL: "its code ran, for some cells, without the sandbox that hides files and the network from it",
    VARIES: "not deterministic: the same seed may give other images",
    READY: "its images came ready-made from a closed tool; nobody here has run it",
    NO_LIMIT: "no limit on single pixels; compared at equal quality alone",
    RAISES: "cleaning helps it: under that countermeasure P is above P without (95 % interval of the paired difference "
    "over artists above 0, false discoveries kept to 5 %), by more than cleaning does to clean images; the attack "
    "without it may have failed for another reason, as with masked gradients",
    NOISE: "random noise that costs the images as much protects as well, as far as these artists can tell: the "
    "interval of the paired difference in the number that carries the rank is not above 0",
    SUPERSEDED: "another entry of the same distribution was measured in a newer version",
}
"""What each flag means; the page shows those that occur."""


def flags(evidence: Evidence) -> Flags:
    """Returns the flags of every entry by name."""
    own: dict[str, list[Record]] = {}
    for record in evidence.records:
        own.setdefault(record.protection.name, []).append(record)
    gaps: dict[str, list[Gap]] = {}
    for gap in evidence.gaps:
        gaps.setdefault(gap.protection, []).append(gap)
    over = _over(evidence)
    old, odd = superseded(evidence), suspicions(evidence)
    return {
        entry.name: tuple(
            (key, words)
            for key, words in (
                (FRONT, FRONT if entry.name in evidence.standings.front else ""),
                (OVER, OVER if entry.name in over else ""),
                *_counts(gaps.get(entry.name, [])),
                *_facts(entry, own[entry.name]),
                *odd.get(entry.name, ()),
                (SUPERSEDED, SUPERSEDED if entry.name in old else ""),
            )
            if words
        )
        for entry in evidence.entries
    }


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
        known = newest.setdefault(record.protection.distribution, record)
        if (record.created, record.key) > (known.created, known.key):
            newest[record.protection.distribution] = record
    return {
        entry.name
        for entry in evidence.entries
        if not entry.is_control and _code(newest[entry.facts.distribution].protection) != _code(entry.facts)
    }


def _code(facts: ProtectionFacts) -> tuple[str, str]:
    return (facts.version, facts.package_digest)


def _over(evidence: Evidence) -> set[str]:
    found = evidence.standings
    return {
        name
        for column in found.columns.values()
        for name, value in zip(found.names, column.values, strict=True)
        if value.state == "over target"
    }


def _counts(gaps: Sequence[Gap]) -> tuple[tuple[str, str], ...]:
    failed = sum(gap.cells for gap in gaps if gap.status in OWN_FAULT)
    absent = sum(gap.cells for gap in gaps) - failed
    return (FAILED, f"{failed} failed" if failed else ""), (MISSING, f"{absent} missing" if absent else "")


def _facts(entry: BoardEntry, records: Sequence[Record]) -> tuple[tuple[str, str], ...]:
    if entry.is_control:
        return ()
    has_run = entry.facts.budget != READY_MADE
    bare = has_run and not all(record.isolation.startswith(WALL) for record in records)
    return (
        (NO_WALL, NO_WALL if bare else ""),
        (VARIES, "" if entry.facts.deterministic else VARIES),
        (READY, "" if has_run else READY),
        (NO_LIMIT, NO_LIMIT if entry.facts.budget == PERCEPTUAL else ""),
    )
