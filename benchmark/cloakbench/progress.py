"""What long work says on standard error: sentences, and counts with the time left. Silent unless `shown`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol, TypeVar

from cloakbench.printable import clean, encodable

T = TypeVar("T")
SECONDS_BETWEEN_LINES = 5.0
"""How long plain lines wait for each other, so that a log of quick items stays short."""


class Display(Protocol):
    """Where progress goes."""

    def say(self, text: str) -> None:
        """Shows a sentence."""

    def track(self, items: Iterable[T], total: int, unit: str) -> Iterator[T]:
        """Yields the items and shows how many of `total` are done and how much time is left."""


class PlainDisplay:
    """Lines for logs."""

    def say(self, text: str) -> None:
        """Writes a line."""
        sys.stderr.write(f"{encodable(clean(text), sys.stderr.encoding)}\n")
        sys.stderr.flush()

    def track(self, items: Iterable[T], total: int, unit: str) -> Iterator[T]:
        """Writes a line after the first item, after the last one, and every few seconds between."""
        began = written = time.monotonic()
        for done, item in enumerate(items, start=1):
            yield item
            now = time.monotonic()
            if done in (1, total) or now - written >= SECONDS_BETWEEN_LINES:
                written = now
                self.say(f"{done} of {total} {unit}, {duration((now - began) / done * (total - done))} left")


class BarDisplay(PlainDisplay):
    """A bar for terminals."""

    def track(self, items: Iterable[T], total: int, unit: str) -> Iterator[T]:
        """Shows a bar until the last item is done."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (BarColumn(), MofNCompleteColumn(), TextColumn(unit), TextColumn("left"), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as bar:
            yield from bar.track(items, total=total)


_display: ContextVar[Display | None] = ContextVar("display", default=None)


@contextmanager
def shown() -> Iterator[None]:
    """Shows progress on standard error until the block ends: bars on a terminal, lines elsewhere."""
    token = _display.set(BarDisplay() if sys.stderr.isatty() else PlainDisplay())
    try:
        yield
    finally:
        _display.reset(token)


def say(text: str) -> None:
    """Shows what is done now, where progress is shown."""
    display = _display.get()
    if display is not None:
        display.say(text)


def track(items: Iterable[T], total: int, unit: str) -> Iterator[T]:
    """Yields the items; where progress is shown, it says how many are done and how much time is left.

    Args:
        items: What is worked on, one after the other.
        total: How many there are.
        unit: What they are, such as `images`.
    """
    display = _display.get()
    return iter(items) if display is None else display.track(items, total, unit)


def duration(seconds: float) -> str:
    """Returns a time in words.

    Example:
        >>> duration(42.4), duration(600), duration(9000)
        ('42 s', '10 min', '2.5 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
