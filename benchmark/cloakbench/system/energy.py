"""Energy that a GPU has used, read by NVML from the counter that the driver keeps for the whole device."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

import torch


def joules() -> float | None:
    """Returns the energy in joules that PyTorch's current GPU has used since its driver was loaded, by all processes.

    None without a GPU, without the package `nvidia-ml-py`, and on devices without such a counter, such as parts of a
    GPU. The difference of two readings is the energy used between them.
    """
    if not torch.cuda.is_available():
        return None
    uuid = str(torch.cuda.get_device_properties(torch.cuda.current_device()).uuid)
    device = _device(uuid.removeprefix("GPU-"))
    if device is None:
        return None
    nvml, handle = device
    try:
        return float(nvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1000
    except nvml.NVMLError:
        return None


@cache
def _device(uuid: str) -> tuple[Any, Any] | None:
    """Returns NVML and its handle of a device, by UUID: CUDA numbers only the devices that are visible to it."""
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        return None
    try:
        nvml.nvmlInit()
        return nvml, nvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
    except nvml.NVMLError:
        return None
