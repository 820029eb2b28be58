"""Images as users have them in Python: PIL images, arrays, tensors and paths, all as 8-bit RGB pixels."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from cloakbench.errors import UserError
from cloakbench.image_files import decode, read_folder, read_image
from cloakbench.images import Pixels, quantise

ImageValue: TypeAlias = "Image.Image | NDArray[np.generic] | Tensor | str | Path"
"""An image or a batch of images.

A PIL image; an array `[H, W]`, `[H, W, 3]` or `[B, H, W, 3]`, uint8 or float in [0, 1]; a tensor `[3, H, W]` or
`[B, 3, H, W]`, float in [0, 1]; or the path of an image or of a folder of images.
"""


def to_pixels(images: ImageValue | Iterable[ImageValue]) -> list[Pixels]:
    """Returns images of any kind as arrays `[H, W, 3]`, uint8 RGB; raises UserError for what is no image."""
    if isinstance(images, str | Path):
        path = Path(images)
        return list(read_folder(path).values()) if path.is_dir() else [read_image(path)]
    if isinstance(images, Image.Image):
        return [_from_pil(images)]
    if isinstance(images, Tensor):
        return _from_tensor(images)
    if isinstance(images, np.ndarray):
        return _from_array(images)
    if not isinstance(images, Iterable):
        raise _unknown(type(images).__name__)
    pixels: list[Pixels] = []
    for image in images:
        pixels += to_pixels(image)
    return pixels


def _from_pil(image: Image.Image) -> Pixels:
    buffer = io.BytesIO()
    try:
        saved = image if image.mode != "CMYK" else image.convert("RGB")
        saved.save(buffer, "TIFF", icc_profile=image.info.get("icc_profile"))
        return decode(buffer.getvalue())
    except (OSError, ValueError) as error:
        raise UserError(f"expected an image, got a PIL image of mode {image.mode}: {error}", "Convert it.") from error


def _from_tensor(images: Tensor) -> list[Pixels]:
    batch = images[None] if images.ndim == 3 else images
    if batch.ndim != 4 or batch.shape[1] != 3:
        raise _unknown(f"a tensor of shape {list(images.shape)}")
    if not batch.is_floating_point():
        raise _unknown(f"a tensor of {images.dtype}")
    _check_range(float(batch.min()), float(batch.max()))
    return quantise(batch)


def _from_array(images: NDArray[np.generic]) -> list[Pixels]:
    whole = np.repeat(images[..., None], 3, axis=-1) if images.ndim == 2 else images
    batch = whole[None] if whole.ndim == 3 else whole
    if batch.ndim != 4 or batch.shape[-1] != 3 or batch.size == 0:
        raise _unknown(f"an array of shape {list(images.shape)}")
    if batch.dtype == np.uint8:
        return [np.array(image, dtype=np.uint8) for image in batch]
    if not np.issubdtype(batch.dtype, np.floating):
        raise _unknown(f"an array of {images.dtype}")
    floats = np.asarray(batch, dtype=np.float32)
    _check_range(float(floats.min()), float(floats.max()))
    return quantise(torch.from_numpy(floats).permute(0, 3, 1, 2))


def _check_range(low: float, high: float) -> None:
    if not 0 <= low <= high <= 1:  # false for NaN, too
        raise UserError(f"expected float values in [0, 1], got {low:g} to {high:g}", "Divide 8-bit values by 255.")


def _unknown(got: str) -> UserError:
    return UserError(
        f"expected images as PIL images, paths, uint8 arrays [H, W, 3] or float tensors [3, H, W], got {got}",
        "See benchmark/API.md.",
    )
