"""Pictures from a store as small WebP files: what was protected, what the protection did, what the mimic got."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from cloakbench.schemas.record import Record
from cloakbench.store.paths import StorePaths, of_gallery
from cloakbench_leaderboards.parts import addresses
from cloakbench_leaderboards.parts.page import Asset

BUDGET = 1_000_000
"""Bytes of all pictures of one page together."""
GAIN = 10
"""How often the difference is magnified."""
LADDER = ((256, 82), (256, 65), (192, 65), (160, 60), (128, 55), (96, 50), (96, 30), (64, 30), (48, 20))
"""Longest side and WebP quality that are tried until a picture keeps to its share of the bytes."""
MOSAIC = 3
"""Shares of the bytes that a mosaic of generations gets; a single image gets one."""
_KEY = re.compile(r"[0-9a-f]{64}")
_ENVIRONMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
RECIPE = "1"
"""Raised with every change of what a picture looks like."""


class Picture(NamedTuple):
    """One picture of a strip, or why there is none."""

    label: str
    source: str
    """From the site's folder; empty where there is none."""
    words: str
    """What it shows, or why it is not there."""
    full: tuple[str, ...]
    """The PNGs as they were kept: one of an image, those that a mosaic shows; empty where there are none."""


@dataclass
class PictureFinder:
    """Finds the pictures of cells; every file that one refers to is listed once."""

    store: StorePaths
    allowance: int
    """Bytes of a single image."""
    files: dict[str, Asset] = field(default_factory=dict)

    @property
    def has_any(self) -> bool:
        """Whether the source holds pictures at all: a reference folder holds none."""
        return (self.store.root / "images").is_dir()

    def strip(
        self, record: Record, clean: Record | None, floor: Record | None, unprotected: Record | None
    ) -> tuple[Picture, ...]:
        """Returns the pictures of one cell beside those of the clean arm and the floor, in the order of the attack.

        `unprotected` is any cell of the artist whose images were left as they are.
        """
        original = self._kept(unprotected, "protect") if unprotected else None
        return (
            self._image("original", original, "the artist's image"),
            self._image("protected", self._kept(record, "protect"), "the image after protection"),
            self._difference(original, self._kept(record, "protect")),
            self._cleaned(record),
            self._generations("imitation of clean", clean, "what the mimic makes after learning from clean images"),
            self._generations("imitation of protected", record, "what it makes after learning from protected images"),
            self._generations("floor", floor, "what the base model makes that never saw the artist"),
        )

    def _kept(self, record: Record, stage: str) -> Path | None:
        place = _place(record, stage)
        path = self.store.image_path(*place, 0) if place else None
        return path if path and path.is_file() else None

    def _image(self, label: str, path: Path | None, words: str) -> Picture:
        if path is None:
            return Picture(label, "", "not in this store", ())
        name, where = path.parent.parent.name, path.parent.name
        source = self._add(name, where, "image", partial(_single, path, self.allowance))
        return Picture(label, source, words, (self._full(path),))

    def _difference(self, original: Path | None, protected: Path | None) -> Picture:
        label = f"difference \N{MULTIPLICATION SIGN}{GAIN}"
        if original is None or protected is None:
            return Picture(label, "", "needs both images, and one is not in this store", ())
        if original == protected:
            return Picture(label, "", "none: the images are as they were", ())
        name, where = protected.parent.parent.name, protected.parent.name
        source = self._add(name, where, "difference", partial(difference, original, protected, self.allowance))
        return Picture(label, source, "what the protection changed; grey is no change", ())

    def _cleaned(self, record: Record) -> Picture:
        label = "after countermeasure"
        if record.attack.countermeasure is None:
            return Picture(label, "", "this attack has none", ())
        return self._image(label, self._kept(record, "countermeasure"), "the protected image, cleaned by the mimic")

    def _generations(self, label: str, record: Record | None, words: str) -> Picture:
        place = _place(record, "generate") if record else None
        path = self.store.gallery_path(*place) if place else None
        if place is None or path is None or not path.is_file():
            return Picture(label, "", "not in this store", ())
        kept = sorted(self.store.images_path(*place).glob("*.png"))
        source = self._add(*place, "mosaic", partial(_mosaic, path, MOSAIC * self.allowance))
        return Picture(label, source, words, tuple(self._full(each) for each in of_gallery(kept)))

    def _full(self, path: Path) -> str:
        name, where = path.parent.parent.name, path.parent.name
        full = addresses.image(name, f"{where}-{path.stem}", "png")
        self.files.setdefault(full, Asset(full, path))
        return full

    def _add(self, name: str, where: str, kind: str, make: Callable[[], bytes]) -> str:
        path = addresses.image(name, f"{where}-{kind}")
        self.files.setdefault(path, Asset(path, make, f"{RECIPE} {name} {where} {kind} {self.allowance}"))
        return path


def share(strips: int, artists: int) -> int:
    """Returns the bytes that one image may have on a page with so many strips and artists.

    A strip has three images and a mosaic of its own; original, clean imitation and floor are shared by an artist's.
    """
    return BUDGET // max(strips * (3 + MOSAIC) + artists * (1 + 2 * MOSAIC), 1)


def _place(record: Record, stage: str) -> tuple[str, str] | None:
    """Returns key and environment of a stage; None where the recipe has no such stage, or says no key."""
    parents = [recipe.get("parents") for recipe in record.components.values() if isinstance(recipe, dict)]
    known = {stage: key for each in parents if isinstance(each, dict) for stage, key in each.items()}
    name, where = known.get(stage), record.environment.env_class
    if not isinstance(name, str) or not _KEY.fullmatch(name) or not _ENVIRONMENT.fullmatch(where):
        return None
    return name, where


def _single(path: Path, limit: int) -> bytes:
    return _encoded(_read(path), limit)


def difference(original: Path, protected: Path, limit: int) -> bytes:
    """Returns what a protection changed, magnified, around grey."""
    before, after = (np.asarray(_read(path), dtype=np.int16) for path in (original, protected))
    if before.shape != after.shape:
        return _encoded(_read(protected), limit)
    shown = np.clip(128 + GAIN * (after - before), 0, 255).astype(np.uint8)
    return _encoded(Image.fromarray(shown), limit)


def _mosaic(path: Path, limit: int) -> bytes:
    """Returns the strip of four generations as two rows of two, so that it is as wide as an image."""
    strip = _read(path)
    side = strip.height
    count = max(strip.width // side, 1)
    columns = 2 if count > 1 else 1
    rows = -(-count // columns)
    made = Image.new("RGB", (columns * side, rows * side), "white")
    for n in range(count):
        tile = strip.crop((n * side, 0, (n + 1) * side, side))
        made.paste(tile, (n % columns * side, n // columns * side))
    return _encoded(made, limit)


def _read(path: Path) -> Image.Image:
    """Returns a picture, or one that says that the file is damaged: the others of the page are of use."""
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        made = Image.new("RGB", (128, 128), "grey")
        ImageDraw.Draw(made).text((40, 58), "damaged")
        return made


def _encoded(image: Image.Image, limit: int) -> bytes:
    data = b""
    for side, quality in LADDER:
        small = image.copy()
        small.thumbnail((side, side))
        buffer = io.BytesIO()
        small.save(buffer, "WEBP", quality=quality, method=4)
        data = buffer.getvalue()
        if len(data) <= limit:
            return data
    return data
