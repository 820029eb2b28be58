"""Keeps the harness's own memory and environment from the processes of submissions that share its user."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from cloakbench.submissions.sandbox import kernel

_lock = threading.Lock()
_holders = 0


@contextmanager
def hidden_from_others() -> Iterator[None]:
    """Makes this process not dumpable while any such block runs: other processes of its user can't read its memory."""
    _change(1)
    try:
        yield
    finally:
        _change(-1)


def _change(by: int) -> None:
    global _holders
    with _lock:
        _holders += by
        kernel.set_dumpable(is_dumpable=_holders == 0)
