"""What a user asks a run for; readable without torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Choice:
    """What a user asked for; the controls always come along."""

    suite: str
    protections: Sequence[str] = ()
    """Empty: every installed one."""
    images: Path | None = None
    only: Sequence[str] = ()
    limit: int | None = None
    model: str | None = None
    """Base model instead of the suite's; for the user's own images only."""
    salt_file: Path | None = None
    """Holds the secret salt of an official run; None: the public salt."""
