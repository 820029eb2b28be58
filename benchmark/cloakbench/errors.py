"""Errors that tell a person what happened and what to do, sorted by who has to act."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BenchmarkError(Exception):
    """A fault with a message (expected / got) and a hint (what to do); shown without a traceback."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class UserError(BenchmarkError):
    """The command, a suite file or a path is wrong: the user has to correct it."""


class SubmissionError(BenchmarkError):
    """A protection broke its contract: its author acts, and the fault counts against it."""


class InfrastructureError(BenchmarkError):
    """Disk, memory or device failed: the cell is tried again and never scored."""


def unknown(expected: str, name: str, choices: Iterable[str], kind: str) -> UserError:
    """Returns the error for a name that is not among `choices`; it lists them and suggests the nearest.

    Example:
        >>> print(unknown("a metric", "ssin", ["psnr", "ssim"], "metrics"))
        expected a metric (psnr, ssim), got 'ssin'
          Did you mean 'ssim'? `cloakbench list metrics` shows all.
    """
    names = list(choices)
    near = difflib.get_close_matches(name, names, 1)
    meant = f"Did you mean {near[0]!r}? " if near else ""
    message = f"expected {expected} ({', '.join(names)}), got {name!r}"
    return UserError(message, f"{meant}`cloakbench list {kind}` shows all.")
