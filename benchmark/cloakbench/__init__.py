"""cloakbench: runs image protections against a fixed suite of mimicry attacks.

Submitters import `Protection` and `Request` from here, or `Countermeasure`, `Mimicry` and `AttackRequest`; functions do
what the command line does. Importing the package imports no model library: each function imports what it needs.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from cloakbench.contract import AttackRequest, Countermeasure, Mimicry, Protection, Request, Surrogate
from cloakbench.errors import BenchmarkError, SubmissionError, UserError
from cloakbench.system import cpu

if TYPE_CHECKING:
    from cloakbench.api import RunSummary, attack, board, compare, measure, protect, run, scores

cpu.settle()  # before any module of the package imports torch

_LAZY = frozenset({"RunSummary", "attack", "board", "compare", "measure", "protect", "run", "scores"})

__all__ = [
    "AttackRequest",
    "BenchmarkError",
    "Countermeasure",
    "Mimicry",
    "Protection",
    "Request",
    "RunSummary",
    "SubmissionError",
    "Surrogate",
    "UserError",
    "attack",
    "board",
    "compare",
    "measure",
    "protect",
    "run",
    "scores",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module("cloakbench.api"), name)
    raise AttributeError(f"module 'cloakbench' has no attribute {name!r}")
