"""The weights that a training carries from one stage to the next: half precision, small enough to be committed."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

FOLDER = Path(__file__).parent / "stages"


def write(path: Path, module: nn.Module, step: int) -> None:
    """Writes a module's weights in half precision, with the number of steps that they have been trained for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    state = module.state_dict()
    halves = {name: weight.half() if weight.is_floating_point() else weight for name, weight in state.items()}
    whole = {name: weight.contiguous().cpu() for name, weight in halves.items()}
    partial = path.with_suffix(".partial")
    save_file(whole, partial, {"step": str(step)})
    partial.replace(path)


def read(path: Path, module: nn.Module) -> int:
    """Loads such weights into a module and returns their number of steps.

    Raises `RuntimeError` where they are another architecture's.
    """
    with safe_open(path, "pt") as stored:
        state = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 - no mapping
        step = int(stored.metadata()["step"])
    present = module.state_dict()
    module.load_state_dict({name: weight.to(present[name].dtype) for name, weight in state.items() if name in present})
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
