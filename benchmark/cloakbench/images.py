"""Images between stages: 8-bit RGB PNGs, their tensors, digests, and the budget that was really used."""

from __future__ import annotations

import hashlib
import io
import struct
import warnings
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

Pixels = NDArray[np.uint8]


def decode_png(data: bytes, max_pixels: int) -> Pixels:
    """Decodes a PNG that has to be as `encode` writes it: one frame of 8-bit RGB.

    Only Pillow's PNG reader parses the bytes, and the size is read from the header before any pixel is decoded.

    Args:
        data: The bytes of the file.
        max_pixels: The largest allowed height times width.

    Returns:
        The pixels `[H, W, 3]`, uint8 RGB.

    Raises:
        ValueError: The bytes are no such PNG, are damaged, or hold more pixels than allowed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # `max_pixels` is the limit here
            return _decode_png(data, max_pixels)
    except (Image.DecompressionBombError, OSError, SyntaxError, struct.error, zlib.error) as error:
        raise ValueError(f"expected a PNG, got damaged or other data ({type(error).__name__})") from error


def _decode_png(data: bytes, max_pixels: int) -> Pixels:
    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        if image.height * image.width > max_pixels:
            raise ValueError(f"expected at most {max_pixels} pixels, got {image.width} x {image.height}")
        if image.mode != "RGB" or getattr(image, "is_animated", False):
            raise ValueError(f"expected one frame of 8-bit RGB, got mode {image.mode}")
        if "exif" in image.info:  # its orientation would make two sizes of one file
            raise ValueError("expected pixels only, got EXIF data")
        return np.array(image, dtype=np.uint8)


def encode(pixels: Pixels) -> bytes:
    """Returns `[H, W, 3]` uint8 RGB pixels as PNG bytes."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=4)
    return buffer.getvalue()


def quantise(images: Tensor) -> list[Pixels]:
    """Returns `[B, 3, H, W]` in [0, 1] as B arrays `[H, W, 3]` uint8, rounded to the nearest level."""
    levels = (images.detach().float().clamp(0, 1) * 255).round().to(torch.uint8)
    return list(levels.permute(0, 2, 3, 1).cpu().numpy())


def to_tensor(pixels: Iterable[Pixels]) -> Tensor:
    """Returns B arrays `[H, W, 3]` uint8 of one size as float32 `[B, 3, H, W]` in [0, 1]."""
    return torch.stack([torch.from_numpy(p.copy()).permute(2, 0, 1) for p in pixels]).float() / 255


def digest(pixels: Pixels) -> str:
    """Returns the SHA-256 of an image's shape and pixels, whatever its file format."""
    return hashlib.sha256(repr(pixels.shape).encode() + np.ascontiguousarray(pixels).tobytes()).hexdigest()


def digests(pictures: Sequence[Pixels]) -> list[str]:
    """Returns the digest of each image."""
    return [digest(pixels) for pixels in pictures]


def fit_square(pixels: Pixels, size: int) -> Pixels:
    """Returns the image's central square at `size` pixels per side (Lanczos)."""
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = Image.fromarray(pixels[top : top + side, left : left + side])
    return np.array(square.resize((size, size), Image.Resampling.LANCZOS), dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class PixelChange:
    """The change between two 8-bit images, in levels of 1/255."""

    max_255: float
    mean_255: float
    l2_255: float


def measure_budget(original: Pixels, changed: Pixels) -> PixelChange:
    """Returns the largest, the mean and the L2 norm of the pixel differences of two images of one shape."""
    delta = np.abs(changed.astype(np.int16) - original.astype(np.int16)).astype(np.float64)
    return PixelChange(float(delta.max()), float(delta.mean()), float(np.sqrt((delta**2).sum())))
