"""Reading a user's images and writing what became of them, without ever replacing an original."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cloakbench import images
from cloakbench.errors import UserError
from cloakbench.files import write_whole
from cloakbench.images import PixelChange, Pixels


@dataclass(frozen=True, slots=True)
class Changed:
    """One written file with its measured change, in levels of 1/255."""

    file: str
    max_255: float
    mean_255: float


def changed(file: str, change: PixelChange) -> Changed:
    """Returns what a listing says of a file."""
    return Changed(file, change.max_255, round(change.mean_255, 3))


def read(source: Path, target: Path) -> dict[str, Pixels]:
    """Returns the images of `source` by the name of the PNG that each becomes in `target`.

    Raises UserError where a result would replace an original or another result.
    """
    found = images.read_folder(source)
    if target.resolve() == source.resolve():
        raise UserError(f"expected another folder than --in, got {target}", "The originals stay: give another --out.")
    named = [Path(file).with_suffix(".png").name for file in found]
    twice = sorted({name for name in named if named.count(name) > 1})
    if twice:
        raise UserError(f"expected images of different names, got several for {', '.join(twice)}", "Rename them.")
    return dict(zip(named, found.values(), strict=True))


def write(target: Path, files: Mapping[str, bytes]) -> None:
    """Writes files into a folder, which is made where it is missing; raises UserError where that fails."""
    try:
        for name, data in files.items():
            write_whole(target / name, data)
    except OSError as error:
        raise UserError(f"expected a writable folder, got {target}: {error.strerror}", "Give another --out.") from error
