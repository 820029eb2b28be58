"""Reading the images of a user's folder under the names of their results."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from cloakbench.errors import UserError
from cloakbench.image_files import check_names, list_folder, read_folder
from cloakbench.images import PixelChange, Pixels


@dataclass(frozen=True, slots=True)
class Changed:
    """One written file with its measured change, in levels of 1/255."""

    file: str
    max_255: float
    mean_255: float


def changed(file: str, change: PixelChange) -> Changed:
    """Returns a row of the listing that a verb prints."""
    return Changed(file, change.max_255, round(change.mean_255, 3))


def check_source(source: Path, target: Path) -> None:
    """Raises UserError where `source` is no folder of images or is the folder of the results; decodes nothing."""
    list_folder(source)
    if target.resolve() == source.resolve():
        raise UserError(f"expected another folder than --in, got {target}", "The originals stay: give another --out.")


def read(source: Path) -> dict[str, Pixels]:
    """Reads the images that a verb turns into one PNG each.

    Args:
        source: Folder of images.

    Returns:
        The pixels `[H, W, 3]` by the name of the PNG.

    Raises:
        UserError: An image cannot be read, or two results would have the same name.
    """
    pixels = read_folder(source)
    names = [Path(file).with_suffix(".png").name for file in pixels]
    duplicates = sorted((Counter(names) - Counter(set(names))).keys())
    if duplicates:
        raise UserError(f"expected images of different names, got several for {', '.join(duplicates)}", "Rename them.")
    check_names(names)
    return dict(zip(names, pixels.values(), strict=True))
