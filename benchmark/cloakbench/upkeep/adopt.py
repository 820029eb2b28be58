"""Taking over records that another store or a committed reference holds, so that a run goes on from them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloakbench.errors import UserError
from cloakbench.schemas.record import Record
from cloakbench.store import reading
from cloakbench.store.store import CorruptFile, Store
from cloakbench.suites import load as suites

_CIRCUMSTANCES = {"cost", "created", "environment", "isolation", "suite_version", "traceback"}
"""What may differ between two runs of one cell in one environment class."""


@dataclass(frozen=True, slots=True)
class Adopted:
    """How many records were taken over, and how many the store had already."""

    added: int
    known: int


def adopt(path: Path, suite: str | None, store: Store, with_facts: bool = True) -> Adopted:
    """Copies the records of `suite` in `path` (a store or a reference folder) that `store` lacks.

    Without `with_facts` the suite's own facts are written in place of the folder's, where the store has none.
    Raises UserError where both hold a cell of one environment class with different results: nothing is copied then.
    """
    store.prepare()
    loaded = reading.load(path, suite)
    new = [record for record in loaded.records if not _known(record, store)]
    for record in new:
        store.write_record(record)
    if with_facts:
        store.write_facts(loaded.facts)
    elif not store.facts_path(loaded.facts.suite.name, loaded.facts.suite.version).exists():
        store.write_facts(suites.facts(loaded.facts.suite))
    return Adopted(len(new), len(loaded.records) - len(new))


def _known(record: Record, store: Store) -> bool:
    env_class = record.environment.env_class
    try:
        ours = store.read_record(record.key, env_class)
    except CorruptFile:
        return False
    if ours is None:
        return False
    if _result(ours) != _result(record):
        raise UserError(
            f"expected one result for the cell {record.key[:16]} ({record.protection.name}, {record.artist}, "
            f"{record.attack.name}, seed {record.seed}), got two: {store.record_path(record.key, env_class)} and the "
            "other folder's",
            "One of them was changed or is not deterministic; take the other folder into a store of its own.",
        )
    return True


def _result(record: Record) -> dict[str, Any]:
    return record.model_dump(exclude=_CIRCUMSTANCES)
