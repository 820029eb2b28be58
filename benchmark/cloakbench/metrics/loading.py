"""What metrics on published networks share: where a metric's weights are, and pyiqa's networks without their prints."""

from __future__ import annotations

import contextlib
import io
import warnings
from pathlib import Path
from typing import Any

import pyiqa
import torch

from cloakbench.errors import UserError
from cloakbench.metrics import weights


def paths(metric: str) -> tuple[Path, ...]:
    """Returns where a metric's weights are; raises UserError where one is missing and cannot be downloaded."""
    if reason := weights.obtain(metric):
        raise UserError(f"expected the weights of {metric!r}, got {reason}", weights.how_to_get())
    return tuple(file.path for file in weights.needed(metric))


def create_metric(name: str, device: torch.device, **options: Any) -> Any:
    """Returns pyiqa's metric; what it prints while loading would spoil `--json`."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pyiqa.create_metric(name, device=device, **options)
