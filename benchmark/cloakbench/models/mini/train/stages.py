"""Weights that one stage of the training writes and later stages read: half precision, small enough to be committed."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

FOLDER = Path(__file__).parent / "stages"


def write(path: Path, module: nn.Module, step: int) -> None:
    """Writes a module's weights in half precision, with the number of steps that they have been trained for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    save_file(in_half_precision(module), partial, {"step": str(step)})
    partial.replace(path)


def in_half_precision(module: nn.Module) -> dict[str, Tensor]:
    """Returns a module's weights and buffers on the CPU, floating-point ones in half precision."""
    state = {}
    for name, weight in module.state_dict().items():
        stored = weight.half() if weight.is_floating_point() else weight
        state[name] = stored.contiguous().cpu()
    return state


def read(path: Path, module: nn.Module) -> int:
    """Loads such weights into a module and returns their number of steps.

    Raises `RuntimeError` where they are another architecture's.
    """
    present = module.state_dict()
    state = {}
    with safe_open(path, "pt") as stored:
        for name in stored.keys():  # noqa: SIM118 - no mapping
            if name in present:
                state[name] = stored.get_tensor(name).to(present[name].dtype)
        step = int(stored.metadata()["step"])
    module.load_state_dict(state)
    return step


def steps(path: Path) -> int:
    """Returns for how many steps committed weights have been trained, 0 where there are none."""
    if not path.exists():
        return 0
    with safe_open(path, "pt") as stored:
        return int(stored.metadata()["step"])


def finite(module: nn.Module) -> bool:
    """Returns whether every weight is a finite number."""
    return all(bool(torch.isfinite(weight).all()) for weight in module.parameters())
