"""`cloakbench gc`: removes what no record refers to."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from benchmark.cells import key
from benchmark.cells.store import Store
from benchmark.errors import UserError
from benchmark.merging import KEPT
from leaderboards import source


@dataclass(frozen=True, slots=True)
class Cleared:
    """How many folders of a stage no record refers to, and their bytes."""

    stages: int
    bytes: int


def clear(store: Store, dry_run: bool = False) -> Cleared:
    """Removes images, features, adapters, galleries and calibrations of stages that no readable record names.

    Nothing is removed while a record is damaged: what it refers to is not known. Raises UserError then.
    """
    wanted = _referred(store)
    unused = [
        folder for kind in KEPT for folder in sorted((store.root / kind).glob("??/*")) if folder.name not in wanted
    ]
    size = sum(file.stat().st_size for folder in unused for file in folder.rglob("*") if file.is_file())
    if not dry_run:
        for folder in unused:
            shutil.rmtree(folder)
    return Cleared(len(unused), size)


def _referred(store: Store) -> set[str]:
    """Returns the keys of all stages of all records, of every suite and version."""
    named: set[str] = set()
    for record in source.records(store.root):
        if isinstance(record, source.Damaged):
            raise UserError(
                f"expected readable records, got {record.path}: {record.reason}",
                "Remove that record (its cell then runs again), then repeat.",
            )
        named |= {key.digest(recipe) for recipe in record.components.values()}
        named |= set(record.components.get("generate", {}).get("parents", {}).values())
        if key.CLEAN_EDIT in record.digests:
            named.add(key.clean_edit(record.components))
    return named
