"""Masks for inpainting: which part of each image may be repainted, as PNGs in a folder `masks` next to the images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cloakbench import images
from cloakbench.errors import UserError
from cloakbench.image_files import read_image
from cloakbench.images import Pixels

FOLDER = "masks"
HINT = f"Put a PNG of each image's name and size into a folder `{FOLDER}` beside them: 255 is repainted, 0 is kept."


def path_of(file: Path) -> Path:
    """Returns where the mask of an image file is, whether it is there or not."""
    return file.parent / FOLDER / f"{file.stem}.png"


def beside(files: Sequence[Path], size: int) -> tuple[Pixels, ...]:
    """Returns a mask `[size, size]` of 0 and 255 for each image file, or none at all where no folder `masks` is there.

    The mask of `a/boat.jpg` is `a/masks/boat.png`, cropped and scaled as the image is. Raises UserError where one is
    missing, is of another size than its image, or leaves nothing of the central square to repaint.
    """
    if not any((file.parent / FOLDER).is_dir() for file in files):
        return ()
    return tuple(_of(file, size) for file in files)


def _of(file: Path, size: int) -> Pixels:
    path = path_of(file)
    if not path.exists():
        raise UserError(f"expected a mask at {path}, got none", HINT)
    mask, image = read_image(path), read_image(file)
    if mask.shape != image.shape:
        (height, width), (tall, wide) = image.shape[:2], mask.shape[:2]
        raise UserError(f"expected a mask of {width} x {height} pixels, got {wide} x {tall} in {path}", HINT)
    repainted = images.fit_square(mask, size)[..., 0] >= 128
    if not repainted.any():
        raise UserError(f"expected something to repaint in the central square of {path}, got nothing", HINT)
    return np.where(repainted, np.uint8(255), np.uint8(0))
