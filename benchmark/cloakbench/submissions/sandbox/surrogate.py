"""Which surrogate a worker loads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SurrogateChoice:
    """Which surrogate the worker loads: an alias or a folder, on which device, in which precision, with which distance.

    `perceptual` names the suite's perceptual distance.
    """

    alias: str
    device: str
    dtype: str
    perceptual: str = "mini-lpips"

    @classmethod
    def at(cls, alias: str, device: str, dtype: str, perceptual: str = "mini-lpips") -> SurrogateChoice:
        """Returns the model with a folder's whole path, because a worker has a folder of its own."""
        return cls(str(Path(alias).absolute()) if Path(alias).is_dir() else alias, device, dtype, perceptual)
