"""The options of a run; imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class Choice:
    """Which cells a run has; the controls are always among them."""

    suite: str
    protections: Sequence[str] = ()
    """Spellings; empty for all that are installed."""
    images: Path | None = None
    only: Sequence[str] = ()
    limit: int | None = None
    model: str | None = None
    """Base model instead of the suite's; for the user's own images only."""
    device: Literal["cpu", "cuda"] | None = None
    """What computes; None: a GPU where there is one, and no suite that needs one starts without."""
    salt_file: Path | None = None
    """File with the secret salt of an official run; None for the public salt."""
    attacks: Sequence[str] = ()
    """Attacks of installed packages (countermeasures, mimicry) that run in addition to the suite's attacks."""
