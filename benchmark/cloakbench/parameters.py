"""Checks of a protection's parameters, in words that a command line can show.

Public helpers of the submission contract: each returns the value, or raises ValueError with what it expected and got.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

_Value = TypeVar("_Value")


def whole(name: str, value: object, least: int = 1) -> int:
    """Returns a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name}: expected a whole number of at least {least}, got {value!r}")
    return value


def positive(name: str, value: object) -> float:
    """Returns a number above 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise ValueError(f"{name}: expected a number above 0, got {value!r}")
    return value


def one_of(name: str, value: object, words: tuple[str, ...]) -> str:
    """Returns `value`; raises ValueError unless it is one of `words`."""
    if not isinstance(value, str) or value not in words:
        raise ValueError(f"{name}: expected one of {', '.join(words)}, got {value!r}")
    return value


def optional(check: Callable[[str, object], _Value], name: str, value: object) -> _Value | None:
    """Returns what `check` returns for a value, or None where the user left the parameter out."""
    return None if value is None else check(name, value)


def flag(name: str, value: object) -> bool:
    """Returns true or false."""
    if not isinstance(value, bool):
        raise ValueError(f"{name}: expected true or false, got {value!r}")
    return value
