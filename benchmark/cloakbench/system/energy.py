"""Energy of the GPU by NVML, where it is: a counter that the driver keeps of the whole device."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

import torch


def joules() -> float | None:
    """Returns what PyTorch's present GPU has taken since its driver was loaded, by all processes; None where unknown.

    Unknown without a GPU, without the package `nvidia-ml-py`, and on devices that keep no such counter, as parts of a
    GPU do. The difference of two readings is what was taken meanwhile.
    """
    if not torch.cuda.is_available():
        return None
    uuid = str(torch.cuda.get_device_properties(torch.cuda.current_device()).uuid)
    found = _device(uuid.removeprefix("GPU-"))
    if found is None:
        return None
    nvml, handle = found
    try:
        return float(nvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1000
    except nvml.NVMLError:
        return None


@cache
def _device(uuid: str) -> tuple[Any, Any] | None:
    """Returns NVML and its handle of a device; its number would not do, as CUDA counts only what it may see."""
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        return None
    try:
        nvml.nvmlInit()
        return nvml, nvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
    except nvml.NVMLError:
        return None
