"""Bundles of files, by their path below a store, for workers without a shared disk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from cloakbench.cells.plan import Cell
from cloakbench.store import key
from cloakbench.store.paths import write_order
from cloakbench.store.store import Store

SHARED = ("calibrate", "protect", "countermeasure")
"""Stages whose output cells share: the search for a strength, images."""

FileBundle = Mapping[str, bytes]
"""Contents of files by their path below a store."""


def shared(cell: Cell) -> frozenset[str]:
    """Returns the keys of a cell's stages whose output other cells need, too."""
    keys = {cell.keys[stage] for stage in SHARED if stage in cell.keys}
    clean_edit = key.clean_edit(cell.recipes)
    return frozenset(keys if clean_edit is None else {*keys, clean_edit})


def pack_for(cell: Cell, store: Store, env_class: str) -> FileBundle:
    """Returns the images that a cell needs, and the search for its strength, as far as a store has them."""
    files = []
    for name in sorted(shared(cell)):
        if store.is_usable(name, env_class):
            files += store.stage_paths(name, env_class)
    return _read(files, store)


def pack_new(store: Store, packed: FileBundle) -> FileBundle:
    """Returns all files of a store but those that are the same in `packed`."""
    return {name: data for name, data in _read(store.files(), store).items() if packed.get(name) != data}


def unpack(bundle: FileBundle, store: Store) -> None:
    """Writes files into a store: images before the manifest that says they are whole, the record last of all."""
    for name in sorted(bundle, key=write_order):
        store.write_file(PurePosixPath(name), bundle[name])


def _read(paths: Iterable[Path], store: Store) -> dict[str, bytes]:
    bundle = {}
    for path in sorted(paths):
        if path.is_file() and not path.name.startswith("."):  # none half written
            bundle[path.relative_to(store.root).as_posix()] = path.read_bytes()
    return bundle
