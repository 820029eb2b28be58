"""What travels between two stores where cells run without a shared disk: files by their path below the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from cloakbench.cells.plan import Cell
from cloakbench.store import key
from cloakbench.store.paths import MANIFEST
from cloakbench.store.store import Store

SHARED = ("calibrate", "protect", "countermeasure")
"""Stages whose output cells share: the search for a strength, images."""

FileBundle = Mapping[str, bytes]
"""Contents of files by their path below a store."""


def shared(cell: Cell) -> frozenset[str]:
    """Returns the keys of all that other cells need too: who runs second finds it in the store."""
    keys = {cell.keys[stage] for stage in SHARED if stage in cell.keys}
    clean_edit = key.clean_edit(cell.recipes)
    return frozenset(keys if clean_edit is None else {*keys, clean_edit})


def pack_for(cell: Cell, store: Store, env_class: str) -> FileBundle:
    """Returns what a store holds already of the images that a cell needs, and of the search for its strength."""
    own = [name for name in sorted(shared(cell)) if store.is_usable(name, env_class)]
    folders = [store.images_path(name, env_class) for name in own]
    found = [path for folder in folders if folder.is_dir() for path in folder.iterdir()]
    if cell.keys.get("calibrate") in own:
        found.append(store.calibration_path(cell.keys["calibrate"], env_class))
    return _read(found, store)


def pack_new(store: Store, known: FileBundle) -> FileBundle:
    """Returns all that a store holds, but for files that are still as in `known`."""
    return {name: data for name, data in _read(store.root.rglob("*"), store).items() if known.get(name) != data}


def unpack(parcel: FileBundle, store: Store) -> None:
    """Writes files into a store: images before the manifest that says they are whole, the record last of all."""
    for name in sorted(parcel, key=_place):
        store.write_file(PurePosixPath(name), parcel[name])


def _read(paths: Iterable[Path], store: Store) -> dict[str, bytes]:
    whole = (path for path in paths if path.is_file() and not path.name.startswith("."))  # none half written
    return {path.relative_to(store.root).as_posix(): path.read_bytes() for path in sorted(whole)}


def _place(name: str) -> tuple[bool, bool, str]:
    path = PurePosixPath(name)
    return path.parts[0] == "records", path.name == MANIFEST, name
