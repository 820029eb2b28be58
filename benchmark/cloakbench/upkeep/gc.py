"""`cloakbench gc`: removes what no record refers to."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from cloakbench.errors import UserError
from cloakbench.files import PARTIAL
from cloakbench.store import key, reading
from cloakbench.store.store import Store
from cloakbench.upkeep.merge import KEPT


@dataclass(frozen=True, slots=True)
class Cleared:
    """How many folders of a stage no record refers to, how many half-written files, and their bytes."""

    stages: int
    partial: int
    bytes: int


def clear(store: Store, dry_run: bool = False) -> Cleared:
    """Removes what lies beside records for stages that no readable record names, and files that were never finished.

    Nothing is removed while a record is damaged: what it refers to is not known. Raises UserError then.
    """
    wanted = _referred(store)
    unused = [
        folder for kind in KEPT for folder in sorted((store.root / kind).glob("??/*")) if folder.name not in wanted
    ]
    partial = sorted(store.root.rglob(f"{PARTIAL}*"))
    files = {*partial, *(file for folder in unused for file in folder.rglob("*") if file.is_file())}
    size = sum(file.stat().st_size for file in files)
    if not dry_run:
        for folder in unused:
            shutil.rmtree(folder)
        for file in partial:
            file.unlink(missing_ok=True)
    return Cleared(len(unused), len(partial), size)


def _referred(store: Store) -> set[str]:
    """Returns the keys of all stages of all records, of every suite and version."""
    named: set[str] = set()
    for record in reading.records(store.root):
        if isinstance(record, reading.DamagedLine):
            raise UserError(
                f"expected readable records, got {record.path}: {record.reason}",
                "Remove that record (its cell then runs again), then repeat.",
            )
        named |= {key.digest(recipe) for recipe in record.components.values()}
        named |= set(record.components.get("generate", {}).get("parents", {}).values())
        if key.CLEAN_EDIT in record.digests:
            named.add(key.clean_edit(record.components))
    return named
