"""Pipelines of diffusers that are no base models, from a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from cloakbench.errors import UserError
from cloakbench.models import pretrained


def load(kind: Any, folder: Path, dtype: torch.dtype, **parts: Any) -> Any:
    """Returns the pipeline of class `kind` in a folder, with `parts` in place of its own.

    Raises UserError where the folder holds none that loads.
    """
    try:
        return pretrained.read(kind, folder, dtype, **parts)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise not_loading(kind, folder, f"{type(error).__name__}: {error}") from error


def not_loading(kind: Any, folder: Path, reason: str) -> UserError:
    """Returns the error that a folder holds no such pipeline."""
    return UserError(
        f"expected a {kind.__name__} in {folder}, got one that does not load: {reason}",
        "Name a folder that `save_pretrained` of diffusers wrote, weights as .safetensors.",
    )
