"""`cloakbench gc`: removes what no record refers to."""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from cloakbench.errors import UserError
from cloakbench.files import open_folder
from cloakbench.store import key, reading
from cloakbench.store.store import Store


@dataclass(frozen=True, slots=True)
class Cleared:
    """How many folders of a stage no record refers to, how many half-written files, and their bytes."""

    stages: int
    partial: int
    bytes: int


def clear(store: Store, dry_run: bool = False) -> Cleared:
    """Removes images and features of stages that no readable record names, and files that were never finished.

    Nothing is removed while a record is damaged: what it refers to is not known. Raises UserError then,
    and where the store holds a link.
    """
    if not store.root.is_dir():
        raise UserError(f"expected a store, got {store.root}", "Correct --store.")
    store.require_store()
    referred = _referred(store)
    unused = [folder for folder in store.stage_folders() if folder.name not in referred]
    partial = store.unfinished()
    files = {*_files(unused), *_files(partial)}
    size = sum(file.stat().st_size for file in files)
    if not dry_run:
        for path in (*unused, *partial):
            _remove(store.root, path)
    return Cleared(len(unused), len(partial), size)


def _files(paths: list[Path]) -> list[Path]:
    """Returns the files among `paths`, and those in the folders among them."""
    below = list(paths)
    for path in paths:
        below += path.rglob("*")
    return list(filter(Path.is_file, below))


def _remove(root: Path, path: Path) -> None:
    """Removes a file or folder of a store, but nothing through a link that was put on the way meanwhile."""
    with contextlib.suppress(OSError), open_folder(root, path.relative_to(root).parent) as folder:
        if path.is_dir():
            shutil.rmtree(path.name, ignore_errors=True, dir_fd=folder)
        else:
            os.unlink(path.name, dir_fd=folder)


def _referred(store: Store) -> set[str]:
    """Returns the keys of all stages of all records, of every suite and version."""
    named: set[str] = set()
    for record in reading.records(store.root):
        if isinstance(record, reading.DamagedLine):
            raise UserError(
                f"expected readable records, got {record.path}: {record.reason}",
                "Remove that record (its cell then runs again), then repeat.",
            )
        named.add(record.key)
        named |= set(key.by_stage(record.components).values())
        recipes = record.recipes
        if recipes is None:
            continue
        named |= set(recipes.generate.parents.values())
        clean_edit = key.clean_edit(recipes)
        if clean_edit is not None:
            named.add(clean_edit)
    return named
