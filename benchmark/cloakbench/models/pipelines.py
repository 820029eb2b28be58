"""Pipelines of diffusers that are no base models, from a folder."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch

from cloakbench.errors import UserError
from cloakbench.models.loader import silence


def load(kind: Any, folder: Path, dtype: torch.dtype, **parts: Any) -> Any:
    """Returns the pipeline of class `kind` in a folder, with `parts` in place of its own.

    Raises UserError where the folder holds none that loads.
    """
    silence()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of `torch_dtype`, as for the base models
            return kind.from_pretrained(folder, torch_dtype=dtype, local_files_only=True, use_safetensors=True, **parts)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise not_loading(kind, folder, f"{type(error).__name__}: {error}") from error


def not_loading(kind: Any, folder: Path, reason: str) -> UserError:
    """Returns the error that a folder holds no such pipeline."""
    return UserError(
        f"expected a {kind.__name__} in {folder}, got one that does not load: {reason}",
        "Name a folder that `save_pretrained` of diffusers wrote, weights as .safetensors.",
    )
