"""Cores, and the instruction set of a run: chosen once, at `import cloakbench`, and handed on to every process of it.

Rounding differs between instruction sets, so records of one are another environment class than records of the other.
AVX2 is what processors of the last ten years share, and small models lose little speed by it. PyTorch reads its
variable when it first computes; therefore the choice is made before torch is imported.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping, MutableMapping
from pathlib import Path

VARIABLES = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "AVX2"}
"""What PyTorch, oneDNN and MKL read before they first compute, with the values that hold them to AVX2."""
_ATEN = "ATEN_CPU_CAPABILITY"
_SELECTABLE = {"DEFAULT": "default", "AVX2": "avx2", "AVX512": "avx512"}
"""Value of the variable by what `torch.backends.cpu.get_cpu_capability()` returns; others can't be asked for."""
_FLAGS = {"avx2": {"avx2", "fma"}, "avx512": {"avx512f", "avx512bw", "avx512dq", "avx512vl"}}
"""What `/proc/cpuinfo` has to list, because PyTorch obeys the variable without a look at the processor."""
_PROCESSOR = Path("/proc/cpuinfo")


def settle(environment: MutableMapping[str, str] = os.environ, processor: Path = _PROCESSOR) -> None:
    """Limits a processor with AVX-512 to AVX2, unless the user has set one of the variables or torch is imported.

    Args:
        environment: The variables to add to.
        processor: A file in the format of `/proc/cpuinfo`.
    """
    is_chosen = bool(VARIABLES.keys() & environment) or "torch" in sys.modules
    if not is_chosen and _is_x86() and "avx512f" in _flags(processor):
        environment.update(VARIABLES)


def cores() -> int:
    """Returns how many cores this process may use, which containers and `taskset` make fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def capability() -> str:
    """Returns the instruction set that PyTorch computes with in this process, such as `AVX2`."""
    import torch

    return torch.backends.cpu.get_cpu_capability()


def is_unlimited() -> bool:
    """Returns whether this process computes with AVX-512 only because torch was imported before cloakbench."""
    return capability() == "AVX512" and not VARIABLES.keys() & os.environ


def for_workers() -> dict[str, str]:
    """Returns those of VARIABLES with which another process computes as this one does.

    The caller removes the others from that process's environment. This process's own variables are not enough: they may
    have been set after torch was imported.
    """
    variables = {name: os.environ[name] for name in VARIABLES if name in os.environ}
    selectable = _SELECTABLE.get(capability()) if "torch" in sys.modules else None
    return variables if selectable is None else {**variables, _ATEN: selectable}


def adopt(variables: Mapping[str, str], processor: Path = _PROCESSOR) -> None:
    """Sets this process's VARIABLES to those of the process that planned the run; call it before torch is imported.

    An instruction set that this processor lacks is not adopted: computing with it would end the process.
    """
    for name in VARIABLES:
        os.environ.pop(name, None)
    missing = _FLAGS.get(variables.get(_ATEN, ""), set()) - _flags(processor)
    if not missing:
        os.environ.update(variables)


def _is_x86() -> bool:
    return platform.machine() in {"x86_64", "AMD64"}


def _flags(processor: Path) -> set[str]:
    """Returns what the processor can do, in the words of Linux; empty where the system does not say."""
    try:
        text = processor.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return set()
    lines = [line for line in text.splitlines() if line.startswith("flags")]
    return set(" ".join(lines).split())
