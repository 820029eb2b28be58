"""How far a training has come, in a file, so that an interrupted one goes on where it stopped."""

from __future__ import annotations

import pickle
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cloakbench.errors import UserError

EVERY = 500
"""Steps between two writes."""


@dataclass(slots=True)
class Progress:
    """What a training has done so far.

    Attributes:
        path: The file; None: nothing is kept.
        recipe: Everything that decides the result. Another recipe does not go on from the file.
        finished: The perturbations `[1 + K, 3, H, W]` by target.
        target: The one that is being trained, empty for none.
        step: How many of its steps are done.
        shares: Its perturbations.
        optimizer: State of its optimiser and of the decay of the learning rate.
        generator: State of the CPU generator.
    """

    path: Path | None
    recipe: dict[str, Any]
    finished: dict[str, Tensor] = field(default_factory=dict)
    target: str = ""
    step: int = 0
    shares: Tensor | None = None
    optimizer: list[dict[str, Any]] = field(default_factory=list)
    generator: Tensor | None = None

    def write(self) -> None:
        """Writes the file whole, or leaves the one before."""
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_name(f"{self.path.name}.new")
        values = asdict(self)
        del values["path"]
        torch.save(values, partial)
        partial.replace(self.path)

    def remove(self) -> None:
        """Removes the file: the training is done."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def read(path: Path | None, recipe: dict[str, Any]) -> Progress:
    """Returns how far a training has come, nowhere without a file; raises UserError for a file of another recipe."""
    if path is None or not path.exists():
        return Progress(path, recipe)
    try:
        values = torch.load(path, weights_only=True)
        progress = Progress(path, **values)
    except (OSError, RuntimeError, TypeError, EOFError, pickle.UnpicklingError) as error:
        raise UserError(f"expected the state of a training in {path}, got {error}", "Remove the file.") from error
    if progress.recipe != recipe:
        raise UserError(
            f"expected a training with {recipe}, got one with {progress.recipe} in {path}",
            "Give the same options to go on, or remove the file to begin anew.",
        )
    return progress
