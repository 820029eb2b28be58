"""`cloakbench verify`: does a folder of records say of itself what can be computed again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.cells import key
from benchmark.cells.record import Record, Status
from benchmark.cells.store import Damaged, Store
from leaderboards import source

LAST = "measure"
"""The stage whose key is the cell's."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was looked at and what is wrong, one sentence each."""

    suite: str
    records: int
    images: int
    problems: list[str]


def verify(path: Path, suite: str | None = None) -> Verdict:
    """Computes keys and image digests of a store or reference folder again; raises UserError where there is nothing.

    A record's key must be that of its recipe, a recipe's parents those of the recipes beside it, a good record must
    hold every metric of its suite or a reason, and kept images must have the digests that the record names.
    """
    loaded = source.load(path, suite)
    store = Store(path)
    problems = [f"{damaged.path}: {damaged.reason}" for damaged in loaded.damaged]
    looked = 0
    for record in loaded.records:
        found = [*keys(record), *measures(record, loaded.facts.suite.metrics.quality)]
        count, wrong = kept(record, store)
        looked += count
        problems += [f"{record.key[:16]} ({_said(record)}): {what}" for what in (*found, *wrong)]
    return Verdict(loaded.facts.suite.name, len(loaded.records), looked, problems)


def keys(record: Record) -> list[str]:
    """Returns what is wrong with a record's keys."""
    made = {stage: key.digest(recipe) for stage, recipe in record.components.items()}
    wrong = []
    if made.get(LAST) != record.key:
        wrong.append(f"expected the key of its recipe, {str(made.get(LAST))[:16]}")
    for stage, recipe in record.components.items():
        for parent, digest in recipe.get("parents", {}).items():
            if made.get(parent) != digest:
                wrong.append(f"expected the parent {parent!r} of {stage!r} to be its recipe's, got {digest[:16]}")
    return wrong


def measures(record: Record, quality: Sequence[str]) -> list[str]:
    """Returns which metrics a good record lacks without saying why; `quality` are those of protected images."""
    if record.status is not Status.OK:
        return [] if record.reason else [f"expected a reason for the status {record.status}, got none"]
    named = set(record.components.get(LAST, {}).get("metrics", {}))
    held = {*record.quality, *record.generations, *record.sets, *record.skipped}
    exempt = set() if "protect" in record.components else set(quality)
    return [f"expected the metric {name!r}, got none" for name in sorted(named - held - exempt)]


def kept(record: Record, store: Store) -> tuple[int, list[str]]:
    """Returns how many kept images of a record were looked at, and which stages differ from its digests."""
    looked, wrong = 0, []
    for stage, digests in record.digests.items():
        if stage not in record.components:
            continue
        try:
            found = store.read_images(key.digest(record.components[stage]), record.environment.env_class)
        except Damaged as error:
            wrong.append(error.message)
            continue
        if found is not None:
            looked += len(found[0])
            if found[1]["digests"] != digests:
                wrong.append(f"expected the images of {stage!r} that the record names, got others")
    return looked, wrong


def _said(record: Record) -> str:
    return f"{record.protection.name}@{record.strength:g} {record.artist} {record.attack.name} seed {record.seed}"
