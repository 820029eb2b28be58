"""What long work says on standard error: sentences, and counts with the time left. Silent unless `shown`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol, TypeVar

from cloakbench.printable import clean, encodable

if TYPE_CHECKING:
    from rich.progress import Progress

T = TypeVar("T")
SECONDS_BETWEEN_LINES = 5.0
"""How long plain lines wait for each other, so that a log of quick items stays short."""

SECONDS_BEFORE_LINES = 1.0
"""Work that ends sooner needs no line of its own."""


class Display(Protocol):
    """Where progress goes."""

    def say(self, text: str) -> None:
        """Shows a sentence."""

    def track(self, items: Iterable[T], total: int, unit: str) -> Iterator[T]:
        """Yields the items and shows how many of `total` are done and how much time is left."""

    def close(self) -> None:
        """Ends what is still shown."""


class PlainDisplay:
    """Lines for logs. Work within tracked work, such as the steps of one image, is named every few seconds only."""

    def __init__(self) -> None:
        self._depth = 0
        self._written = 0.0

    def say(self, text: str) -> None:
        """Writes a line."""
        sys.stderr.write(f"{encodable(clean(text), sys.stderr.encoding)}\n")
        sys.stderr.flush()

    def track(self, items: Iterable[T], total: int, unit: str) -> Iterator[T]:
        """Writes a line after the first item, after the last one, and every few seconds between."""
        began = time.monotonic()
        is_within = self._depth > 0
        self._depth += 1
        try:
            for done, item in enumerate(items, start=1):
                yield item
                now = time.monotonic()
                is_end = done in (1, total) and not is_within and total > 1 and now - began >= SECONDS_BEFORE_LINES
                if is_end or now - max(began, self._written) >= SECONDS_BETWEEN_LINES:
                    self._written = now
                    self.say(f"{done} of {total} {unit}, {duration((now - began) / done * (total - done))} left")
        finally:
            self._depth -= 1

    def close(self) -> None:
        """Does nothing: lines stay."""


class BarDisplay(PlainDisplay):
    """Bars for terminals: one for the work, and one below it for the work within it."""

    def __init__(self) -> None:
        super().__init__()
        self._bars: Progress | None = None

    def track(self, items: Iterable[T], total: int, unit: str) -> Iterator[T]:
        """Shows a bar until the last item is done."""
        bars = self._started()
        is_within = bool(bars.tasks)
        task = bars.add_task(unit, total=total)
        try:
            for item in items:
                yield item
                bars.advance(task)
        finally:
            if is_within:
                bars.remove_task(task)
            else:
                self.close()

    def close(self) -> None:
        """Leaves the bars as they are."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = None

    def _started(self) -> Progress:
        """Returns the bars on the screen."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        if self._bars is None:
            columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TextColumn("left"))
            self._bars = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True))
            self._bars.start()
        return self._bars


_display: ContextVar[Display | None] = ContextVar("display", default=None)


@contextmanager
def shown() -> Iterator[None]:
    """Shows progress on standard error until the block ends: bars on a terminal, lines elsewhere."""
    display = BarDisplay() if sys.stderr.isatty() else PlainDisplay()
    token = _display.set(display)
    try:
        yield
    finally:
        display.close()
        _display.reset(token)


@contextmanager
def hidden() -> Iterator[None]:
    """Shows no progress until the block ends, for work whose caller reports it in another way."""
    token = _display.set(None)
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

    Of a single item nothing is said, so that the work within it is shown in its place.

    Args:
        items: What is worked on, one after the other.
        total: How many there are.
        unit: What they are, such as `images`.
    """
    display = _display.get()
    return iter(items) if display is None or total == 1 else display.track(items, total, unit)


def duration(seconds: float) -> str:
    """Returns a time in words.

    Example:
        >>> duration(42.4), duration(600), duration(9000)
        ('42 s', '10 min', '2.5 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
