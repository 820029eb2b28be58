"""Trains the perturbations for a surrogate: `python -m cloakbench_fastprotect.train --model mini-a --out FILE`."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from itertools import product
from pathlib import Path

import torch
from torch import Tensor

from cloakbench.datasets.procedural import scenes, styles
from cloakbench.errors import BenchmarkError, UserError
from cloakbench.families import Family
from cloakbench.image_files import read_folder
from cloakbench.images import fit_square, to_tensor
from cloakbench.models import loader, registry
from cloakbench_fastprotect.fitting import FittingRecipe, fit
from cloakbench_fastprotect.perturbations import FOLDER

PURPOSE = 301
"""First seed component of the drawn images; the models' training and the suites draw with others."""
RECIPES: dict[Family, FittingRecipe] = {
    "mini": FittingRecipe(400),
    "stable-diffusion": FittingRecipe(13_333, batch=16, rate=2e-4 / (8 / 255), epsilon=8 / 255, chunk=2),
}
"""By family of the surrogate. On Stable Diffusion those of the public re-implementation, which claims the paper's:
40,000 steps in all, 16 images, a rate of 2e-4 in units of the image, 8 of 255 levels."""
PER_PAIR = 4
"""Drawn images of each training style with each subject."""


def drawn() -> Tensor:
    """Returns the fit split `[720, 3, 128, 128]`: pictures in training styles alone, never an artist's."""
    grid = product(enumerate(styles.names("training")), enumerate(scenes.SUBJECTS), range(PER_PAIR))
    return to_tensor(styles.paint(style, subject, [PURPOSE, s, k, n]) for (s, style), (k, subject), n in grid)


def from_folder(folder: Path, size: int) -> Tensor:
    """Returns the images of a folder, their central squares at `size` pixels, `[N, 3, size, size]`."""
    return to_tensor(fit_square(pixels, size) for pixels in read_folder(folder).values())


def main(arguments: list[str] | None = None) -> int:
    """Trains and writes the file; returns the exit code, 2 for what the user has to change."""
    options = _parser().parse_args(arguments)
    out = options.out or FOLDER / f"{options.model}.safetensors"
    generator = torch.Generator().manual_seed(options.seed)
    try:
        family, device = registry.family(options.model), loader.default_device()
        recipe = _recipe(options, family)
        images = _images(options, family)
        dtype = torch.bfloat16 if device == "cuda" and family == "stable-diffusion" else torch.float32
        surrogate = loader.load(options.model, device, dtype).surrogate()
        fit(images, surrogate, generator, recipe, LossPrinter(recipe.steps), out.with_suffix(".part")).save(out)
    except BenchmarkError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    return 0


def _images(options: argparse.Namespace, family: Family) -> Tensor:
    """Returns the images to train on; raises UserError where a model of Stable Diffusion is given none."""
    if options.images:
        return from_folder(options.images, options.size)
    if family == "stable-diffusion":
        raise UserError(
            f"expected --images with a folder of pictures for {options.model!r}, got none",
            "The drawn pictures have 128 pixels. Take some thousand pictures that no artist of a suite made.",
        )
    return drawn()


def _recipe(options: argparse.Namespace, family: Family) -> FittingRecipe:
    """Returns the recipe of the model's family with what the user asks for in its place."""
    changes = {
        "steps": options.steps,
        "batch": options.batch,
        "rate": options.rate,
        "epsilon": None if options.budget is None else options.budget / 255,
        "chunk": options.chunk,
    }
    return replace(RECIPES[family], **{name: value for name, value in changes.items() if value is not None})


class LossPrinter:
    """Prints the loss and the time that is left, 50 times for each target."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.every = max(1, steps // 50)
        self._since: tuple[str, int, float] | None = None

    def __call__(self, name: str, step: int, value: float) -> None:
        """Prints a line at every so many steps of a target.

        Args:
            name: The target.
            step: Number of the step, from 0.
            value: Mean loss of its images.
        """
        now = time.monotonic()
        if self._since is None or self._since[0] != name:
            self._since = (name, step, now)
        if step % self.every and step != self.steps - 1:
            return
        done = step - self._since[1]
        seconds_left = (now - self._since[2]) / done * (self.steps - 1 - step) if done else 0.0
        remaining = f", {seconds_left / 60:.0f} min left for this target" if done else ""
        print(f"{name} step {step}: loss {value:.0f}{remaining}", flush=True)  # noqa: T201


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="the surrogate: an alias that `cloakbench list` knows")
    parser.add_argument("--out", type=Path, help="the file to write; by default where the package looks for it")
    parser.add_argument("--images", type=Path, help="a folder of images to train on; else drawn ones of 128 pixels")
    parser.add_argument("--size", type=int, default=512, help="pixels a side of the folder's images")
    parser.add_argument("--steps", type=int, help="steps for each of the three targets")
    parser.add_argument("--batch", type=int, help="images per step")
    parser.add_argument("--chunk", type=int, help="images that go through the encoder at once; memory follows it")
    parser.add_argument("--rate", type=float, help="first learning rate, as a share of the budget")
    parser.add_argument("--budget", type=int, help="the budget in 8-bit levels")
    parser.add_argument("--seed", type=int, default=0)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
