"""Where everything in a store lies; readable without torch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
MANIFEST = "manifest.json"
GALLERY = 4
"""Generations of the first seed that a store keeps for pages."""


def of_gallery(generations: Sequence[T]) -> Sequence[T]:
    """Returns those of a cell's generations that its gallery shows: a few, spread from the first on.

    Example:
        >>> of_gallery(range(9)), of_gallery("ab")
        (range(0, 8, 2), 'ab')
    """
    return generations[:: max(1, len(generations) // GALLERY)][:GALLERY]


class StorePaths:
    """The one owner of a store's paths: by key of the stage that made a thing, then by environment class."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def record_path(self, key: str, env_class: str) -> Path:
        """Returns where the record of a cell lies."""
        return self._place("records", key) / f"{env_class}.json"

    def records(self) -> Iterator[Path]:
        """Yields the path of every record, sorted."""
        yield from sorted((self.root / "records").glob("*/*/*.json"))

    def facts_path(self, suite: str, version: int) -> Path:
        """Returns where a suite's facts lie."""
        return self.root / "facts" / f"{suite}-{version}.json"

    def facts(self) -> list[Path]:
        """Returns the path of the facts of every suite version, sorted."""
        return sorted((self.root / "facts").glob("*.json"))

    def images_path(self, key: str, env_class: str) -> Path:
        """Returns the folder of a stage's images."""
        return self._place("images", key) / env_class

    def image_path(self, key: str, env_class: str, number: int) -> Path:
        """Returns where one image of a stage lies, a PNG."""
        return self.images_path(key, env_class) / f"{number:03d}.png"

    def gallery_path(self, key: str, env_class: str) -> Path:
        """Returns where the strip of a few generations lies, a WebP."""
        return self._place("gallery", key) / f"{env_class}.webp"

    def calibration_path(self, key: str, env_class: str) -> Path:
        """Returns where the search for a strength lies."""
        return self._place("calibrations", key) / f"{env_class}.json"

    def canary_path(self, key: str, env_class: str, created: str) -> Path:
        """Returns where the record of a control cell lies that ran again, filed by the time of that."""
        ran = re.sub(r"[^0-9T]", "", created[:19])
        return self._place("canaries", key) / env_class / f"{ran}.json"

    def canaries(self) -> list[Path]:
        """Returns the path of every canary, sorted."""
        return sorted((self.root / "canaries").glob("*/*/*/*.json"))

    def adapter_path(self, key: str, env_class: str) -> Path:
        """Returns where the adapters or embeddings of a personalised model lie."""
        return self._place("adapters", key) / f"{env_class}.safetensors"

    def features_path(self, key: str, env_class: str) -> Path:
        """Returns where the features of a cell's generations lie."""
        return self._place("features", key) / f"{env_class}.safetensors"

    def _place(self, kind: str, key: str) -> Path:
        return self.root / kind / key[:2] / key
