"""Trains the perturbations for a surrogate: `python -m cloakbench_fastprotect.train --model mini-a --out FILE`."""

from __future__ import annotations

import argparse
import sys
import time
from itertools import product
from pathlib import Path

import torch
from torch import Tensor

from cloakbench.datasets.procedural import scenes, styles
from cloakbench.errors import BenchmarkError
from cloakbench.image_files import read_folder
from cloakbench.images import fit_square, to_tensor
from cloakbench.models import loader
from cloakbench_fastprotect.fitting import FittingRecipe, fit

PURPOSE = 301
"""First seed component of the drawn images; the models' training and the suites draw with others."""
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
    given = _parser().parse_args(arguments)
    recipe = FittingRecipe(given.steps, given.batch, given.rate, given.budget / 255)
    generator = torch.Generator().manual_seed(given.seed)
    began = time.process_time()

    def report(name: str, step: int, value: float) -> None:
        if step % 50 == 0 or step == recipe.steps - 1:
            spent = time.process_time() - began
            print(f"{name} step {step}: loss {value:.0f}, {spent:.0f} s", flush=True)  # noqa: T201

    try:
        images = from_folder(given.images, given.size) if given.images else drawn()
        surrogate = loader.load(given.model, loader.default_device()).surrogate()
        fit(images, surrogate, generator, recipe, report).save(given.out)
    except BenchmarkError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="the surrogate: an alias that `cloakbench list` knows")
    parser.add_argument("--out", type=Path, required=True, help="the file to write, NAME.safetensors")
    parser.add_argument("--images", type=Path, help="a folder of images to train on; else drawn ones of 128 pixels")
    parser.add_argument("--size", type=int, default=512, help="pixels a side of the folder's images")
    parser.add_argument("--steps", type=int, default=400, help="steps for each of the three targets")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rate", type=float, default=0.02, help="first learning rate, as a share of the budget")
    parser.add_argument("--budget", type=int, default=16, help="the suite's budget in 8-bit levels")
    parser.add_argument("--seed", type=int, default=0)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
