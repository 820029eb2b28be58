"""Which instructions a processor computes with: one set for all x86-64, so that a run may go on on another machine."""

from __future__ import annotations

import os
import platform
from collections.abc import MutableMapping
from pathlib import Path

VARIABLES = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "AVX2"}
"""What PyTorch, oneDNN and MKL read before they first compute."""
_PROCESSOR = Path("/proc/cpuinfo")


def settle(environment: MutableMapping[str, str] = os.environ, processor: Path = _PROCESSOR) -> None:
    """Holds a processor with AVX-512 to AVX2, unless the user has said otherwise; call it before torch is imported.

    Rounding differs between instruction sets, so that records of one would be another environment class than those of
    the other; AVX2 is what processors of the last ten years share, and the small models lose little speed by it.
    """
    if platform.machine() not in {"x86_64", "AMD64"} or not _is_wider(processor) or VARIABLES.keys() & environment:
        return
    environment.update(VARIABLES)


def _is_wider(processor: Path) -> bool:
    try:
        text = processor.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return any("avx512f" in line.split() for line in text.splitlines() if line.startswith("flags"))
