"""Reading a user's picture files: one reader for every verb, which loses nothing silently."""

from __future__ import annotations

import io
import logging
import struct
import unicodedata
import warnings
import zlib
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from cloakbench.errors import UserError
from cloakbench.images import Pixels
from cloakbench.printable import has_hidden
from cloakbench.user_files import read_bytes

SUFFIXES = (".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif")
MAX_PIXELS = 178_956_970
"""The largest picture that is decoded: 512 MiB of 8-bit RGB."""
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "AVIF")
"""Pillow's names; AVIF is last because older versions of Pillow do not have it."""
_SYSTEM_NAMES = frozenset({"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "icon\r"})
_BITS_TAG = 258
"""TIFF's BitsPerSample."""
_LISTED = 5
_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
"""Pillow's mode for the colour space that a profile describes."""
_log = logging.getLogger(__name__)


class FolderFiles(NamedTuple):
    """The files of a folder: pictures by name, and the names of what is no picture."""

    pictures: list[Path]
    left_out: list[str]


def is_hidden(path: Path) -> bool:
    """Returns whether a file or folder is hidden or belongs to a system: `._a.png`, `__MACOSX`, `Thumbs.db`."""
    return path.name.startswith(".") or path.name.lower() in _SYSTEM_NAMES


def is_picture(path: Path) -> bool:
    """Returns whether a path has the ending of a picture and is not hidden, whatever it holds."""
    return path.suffix.lower() in SUFFIXES and not is_hidden(path)


def decode(data: bytes) -> Pixels:
    """Decodes a picture of any format that is read here into 8-bit sRGB, held upright.

    16-bit and float pictures are scaled to 8 bits, and a colour profile is converted to sRGB.

    Args:
        data: The bytes of the file.

    Returns:
        The pixels `[H, W, 3]`, uint8.

    Raises:
        ValueError: The bytes are no picture, are damaged, hold transparent pixels or several frames, hold more than
            `MAX_PIXELS`, or have values whose range is unknown. The message ends a sentence that begins with the path.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged metadata, and of sizes, whose limit here is `MAX_PIXELS`
            return _decode(data)
    except Image.DecompressionBombError as error:
        raise ValueError(f"more than {MAX_PIXELS // 10**6} megapixels") from error
    except ImageCms.PyCMSError as error:
        raise ValueError(f"a colour profile that cannot be used ({error})") from error
    except (UnidentifiedImageError, KeyError) as error:  # KeyError: a format that this Pillow does not have
        raise ValueError("no picture of a format that is read") from error
    except (OSError, SyntaxError, struct.error, zlib.error, EOFError, RuntimeError, TypeError) as error:
        raise ValueError(f"a damaged picture ({type(error).__name__}: {error})") from error


def read_image(path: Path) -> Pixels:
    """Returns the pixels `[H, W, 3]` of a picture file; raises UserError with its name where `decode` refuses it."""
    data = read_bytes(path)
    try:
        return decode(data)
    except ValueError as error:
        raise UserError(f"expected an image, got {path}: {error}", _hint(str(error))) from error


def visible_paths(folder: Path) -> list[Path]:
    """Returns the files and folders of a folder that are not hidden, sorted; raises UserError if unreadable."""
    try:
        return sorted(path for path in folder.iterdir() if not is_hidden(path))
    except OSError as error:
        raise UserError(f"expected a readable folder, got {folder}: {error.strerror}", "Check its rights.") from error


def list_folder(folder: Path) -> FolderFiles:
    """Returns the picture files of a folder, sorted by name, and what is left out; hidden files are in neither.

    Raises:
        UserError: The folder is none or cannot be read, a name has control characters or marks of writing direction, or
            two names differ only in case or in the Unicode normal form, so that one would replace the other on another
            disk.
    """
    if not folder.is_dir():
        raise UserError(f"expected a folder of images, got {folder}", "Give the path of an existing folder.")
    paths = visible_paths(folder)
    pictures = [path for path in paths if is_picture(path) and not path.is_dir()]
    check_names(path.name for path in pictures)
    left_out = [path.name for path in paths if path not in set(pictures)]
    return FolderFiles(pictures, left_out)


def read_folder(folder: Path, ignored: Sequence[str] = ()) -> dict[str, Pixels]:
    """Returns a folder's images by file name, sorted; a warning lists what is left out.

    Args:
        folder: The folder of the pictures.
        ignored: Names of files and folders that are not pictures and are read by others, such as `masks`.

    Raises:
        UserError: The folder has no picture, or one that cannot be read.
    """
    files = list_folder(folder)
    warn_left_out(folder, [name for name in files.left_out if name not in ignored])
    if not files.pictures:
        raise UserError(f"expected images ({', '.join(SUFFIXES)}) in {folder}, found none", "Put the images into it.")
    return {path.name: read_image(path) for path in files.pictures}


def check_names(names: Iterable[str]) -> None:
    """Raises UserError for a name with hidden characters, and for two that differ only in case or normal form."""
    spellings: dict[str, str] = {}
    for name in names:
        if has_hidden(name):
            raise UserError(f"expected a name of printable UTF-8, got {name!a}", "Rename the file or folder.")
        folded = unicodedata.normalize("NFC", name).casefold()
        if folded in spellings:
            pair = f"{spellings[folded]!r} and {name!r}"
            raise UserError(
                f"expected names that differ in more than case, got {pair}",
                "Rename one: on other disks one file would replace the other.",
            )
        spellings[folded] = name


def warn_left_out(folder: Path, names: Sequence[str]) -> None:
    """Warns of what is left out of a folder, with its number; the first names are listed."""
    if names:
        listed = ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
        _log.warning("left out of %s: %d that are no readable pictures: %s", folder, len(names), listed)


def _hint(reason: str) -> str:
    if "transparent" in reason:
        return "Lay it over a background first."
    if "frames" in reason:
        return "Save one frame as a picture of its own."
    return "Remove or replace the file."


def _decode(data: bytes) -> Pixels:
    with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"{image.width} x {image.height} pixels, more than {MAX_PIXELS // 10**6} million")
        _check_frames(image)
        _check_opaque(image)
        profile = image.info.get("icc_profile")
        upright = ImageOps.exif_transpose(image)  # cameras store their orientation with the pixels
        levels = _to_8_bits(upright, image.format, _tiff_bits(image))
    converted = _to_srgb(levels, profile) if profile else levels.convert("RGB")
    return np.array(converted, dtype=np.uint8)


def _check_frames(image: Image.Image) -> None:
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # phones append previews to a JPEG; the first frame is the picture
        raise ValueError(f"{frames} frames, an animation or several pages")


def _check_opaque(image: Image.Image) -> None:
    if image.has_transparency_data and image.convert("RGBA").getchannel("A").getextrema()[0] != 255:
        raise ValueError("transparent pixels, not an opaque image")


def _tiff_bits(image: Image.Image) -> int:
    """Returns the bits per value that a TIFF says it has; 16 for other formats."""
    bits = getattr(image, "tag_v2", {}).get(_BITS_TAG, (16,))
    return int(bits[0] if isinstance(bits, tuple) else bits)


def _to_8_bits(image: Image.Image, form: str | None, bits: int) -> Image.Image:
    """Returns a picture with 8 bits per value: 16-bit and float greys are scaled, all other modes are 8-bit already."""
    if image.mode == "F":
        values = np.asarray(image, dtype=np.float64)
        if not np.isfinite(values).all() or values.min() < 0 or values.max() > 1:
            raise ValueError(f"float values from {values.min():g} to {values.max():g}, not in [0, 1]")
        return _grey(values)
    if image.mode.startswith("I;16") or (image.mode == "I" and form == "PNG"):  # older Pillow: 16-bit PNGs are "I"
        return _grey(np.asarray(image, dtype=np.float64) / (2**bits - 1))
    if image.mode == "I":
        raise ValueError(f"{bits}-bit integers, whose range is unknown; 8 and 16 bits are read")
    return image


def _grey(values: NDArray[np.float64]) -> Image.Image:
    """Returns values `[H, W]` in [0, 1] as an 8-bit grey picture, rounded to the nearest level."""
    return Image.fromarray(np.round(values * 255).astype(np.uint8))


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Returns a picture converted from its colour profile to sRGB (relative colorimetric, black point kept)."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    except OSError as error:
        raise ValueError("a damaged colour profile") from error
    space = source.profile.xcolor_space.strip()
    is_cmyk = image.mode == "CMYK"
    if space not in _MODES or is_cmyk != (space == "CMYK"):
        raise ValueError(f"a colour profile for {space} in a picture of mode {image.mode}")
    converted = ImageCms.profileToProfile(
        image.convert(_MODES[space]),
        source,
        _srgb(),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    assert converted is not None  # None only where it is converted in place
    return converted


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
