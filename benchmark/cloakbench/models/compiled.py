"""Networks compiled for a GPU: once for a shape and a process, which the cells after it share.

The compiler keeps what it made by a network's code and its inputs' shapes, not by its weights: the denoiser of another
artist, a copy with other weights, takes it over in a fraction of a second. A denoiser with adapters is other code, and
compiled once more for all cells with adapters: merged into weights of half precision, adapters would be rounded away.
A set's last part is filled up to the size of the others. A size of another stage is compiled for all further ones.
"""

from __future__ import annotations

import importlib.util
import shutil
from typing import Any

import torch
from torch import nn


def is_possible(device: torch.device, dtype: torch.dtype) -> bool:
    """Returns whether networks are compiled: on a GPU in half precision, where Triton and a C compiler are installed.

    In single precision they are not: there the models are small, and would take longer to compile than to run.
    """
    if device.type != "cuda" or dtype == torch.float32:
        return False
    return importlib.util.find_spec("triton") is not None and any(map(shutil.which, ("cc", "gcc", "clang")))


def compiled(network: nn.Module, device: torch.device, dtype: torch.dtype) -> Any:
    """Returns the network, compiled where that is possible; its weights stay shared with the given one.

    The first call with a shape takes a minute or more, so that it pays for networks which run hundreds of times.
    """
    return torch.compile(network) if is_possible(device, dtype) else network
