"""Waits for what another process does: at once on an idle machine, minutes later on a busy one."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil

PATIENCE_S = 600


def wait_until(
    condition: Callable[[], object], expected: str, seconds: float = PATIENCE_S, pause_s: float = 0.02
) -> None:
    """Returns as soon as a condition holds.

    Args:
        condition: Called again and again until it returns something true.
        expected: What is waited for, in the words of the error.
        seconds: How long to wait at most.
        pause_s: Seconds between two calls.

    Raises:
        AssertionError: The condition did not hold in time.
    """
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"expected {expected} within {seconds} s"
        time.sleep(pause_s)


def has_ended(pid: int) -> bool:
    """Returns whether a process is gone, or has ended and nobody has asked for its exit code."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
