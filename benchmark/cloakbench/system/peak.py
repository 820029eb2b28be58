"""The peak of the memory that this process has used: of the GPU where there is one, else of the machine."""

from __future__ import annotations

import contextlib
import resource
from pathlib import Path

import torch

_CLEAR, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


def reset() -> None:
    """Resets the peak to the memory in use now, where the system can."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        return
    with contextlib.suppress(OSError):
        _CLEAR.write_text("5", encoding="utf-8")  # Linux: the peak of resident memory


def most_bytes() -> int:
    """Returns the peak in bytes."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    with contextlib.suppress(OSError):
        for line in _STATUS.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    # An upper limit: on Linux a process starts with the peak of its parent.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
