"""Libraries that the models' libraries import and that most processes do not need."""

from __future__ import annotations

import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

UNUSED = ("bitsandbytes",)
"""Arithmetic with quantised weights. It comes with pyiqa; diffusers imports it where it is installed, which takes a
second of the start of every process."""
READERS = ("diffusers", "peft", "transformers")
"""What looks for these libraries, once, when it is imported."""


def skip_unused(modules: MutableMapping[str, Any] = sys.modules) -> None:
    """Makes the unused libraries look as if they were not installed, unless it is too late for that.

    For processes of the project's own: a program that uses cloakbench as a library may need them.

    Args:
        modules: The imported modules by name; None in place of a module makes its import fail.
    """
    if not any(name in modules for name in (*READERS, *UNUSED)):
        modules.update(dict.fromkeys(UNUSED))


@contextmanager
def unused_skipped(modules: MutableMapping[str, Any] = sys.modules) -> Iterator[None]:
    """Leaves the unused libraries out of what is imported inside the block; code that asks for one later gets it.

    For processes that run code of others, too.

    Args:
        modules: The imported modules by name.
    """
    skip_unused(modules)
    try:
        yield
    finally:
        restore_unused(modules)


def restore_unused(modules: MutableMapping[str, Any] = sys.modules) -> None:
    """Lets the unused libraries be imported again: for the code that does use one.

    Args:
        modules: The imported modules by name.
    """
    for name in UNUSED:
        if name in modules and modules[name] is None:
            del modules[name]
