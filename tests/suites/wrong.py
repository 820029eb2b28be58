"""A suite file with a fault, and what is said of it."""

from __future__ import annotations

from typing import NamedTuple


class Wrong(NamedTuple):
    old: str
    new: str
    message: str
