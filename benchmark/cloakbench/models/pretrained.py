"""Modules and pipelines of diffusers and transformers, read from folders that `save_pretrained` wrote."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
import transformers
from diffusers.utils import logging as diffusers_logging


def read(kind: Any, folder: Path, dtype: torch.dtype, **options: Any) -> Any:
    """Returns the module or pipeline of class `kind` in a folder, without progress bars: a run has its own.

    Weights are read as .safetensors alone: others are pickles, which may run code. Nothing is fetched from a hub.

    Args:
        kind: Class of diffusers or transformers.
        folder: What `save_pretrained` wrote.
        dtype: Precision of the weights.
        options: Further arguments of `from_pretrained`.

    Raises:
        OSError: The folder lacks a file.
        ValueError: A file does not fit the class; also TypeError, KeyError or AttributeError.
    """
    diffusers_logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # `torch_dtype` is the name that old and new diffusers know
        return kind.from_pretrained(folder, torch_dtype=dtype, local_files_only=True, use_safetensors=True, **options)
