"""FastProtect's seconds per image against PhotoGuard's: `python tests/benchmarks/fastprotect.py [--images 4]`.

Protects images of each development artist at 16/255 on mini-a with one thread, the two taking turns three times after a
warm-up, and prints a markdown table: processor seconds per image (the median), how far the latent went, mini-lpips.
"""

from __future__ import annotations

import argparse
import time
from statistics import median

import torch
from torch import Tensor

from cloakbench import submissions, whitebox
from cloakbench.contract import Request, Surrogate
from cloakbench.datasets.artists import mini_artist
from cloakbench.images import Pixels, to_tensor
from cloakbench.models import loader
from cloakbench.suites import load as suites

ARTISTS = ("swirl", "crosshatch", "stained-glass", "stencil")
ENTRIES = ("photoguard", "fastprotect", "fastprotect[adaptive=false]")
TURNS = 3


def samples(count: int) -> Tensor:
    """Returns `count` images of each development artist."""
    suite = suites.load("mini")
    pixels: list[Pixels] = []
    for name in ARTISTS:
        pixels += mini_artist(name, suite).images[:count]
    return to_tensor(pixels)


def protected(entry: str, images: Tensor, surrogate: Surrogate) -> tuple[Tensor, float]:
    """Returns the protected images and the processor seconds per image."""
    captions = ("a painting",) * len(images)
    request = Request(1.0, 16 / 255, surrogate, torch.Generator().manual_seed(0), "painting", captions)
    instance = submissions.load(entry).instance
    began = time.process_time()
    changed = instance.protect(images, request)
    return changed, (time.process_time() - began) / len(images)


@torch.no_grad()
def moved(changed: Tensor, images: Tensor, surrogate: Surrogate) -> str:
    """Returns the table cells of a result: latent shift over the latent's norm, mini-lpips."""
    before, after = (whitebox.latent_means(surrogate, part).flatten(1) for part in (images, changed))
    shift = ((after - before).norm(dim=1) / before.norm(dim=1)).mean()
    return f"{shift:.3f} | {surrogate.perceptual(images, changed).mean():.3f}"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=4)
    options = parser.parse_args()
    torch.set_num_threads(1)
    surrogate, images = loader.load("mini-a").surrogate(), samples(options.images)
    for entry in ENTRIES:
        protected(entry.replace("photoguard", "photoguard[steps=1]"), images[:1], surrogate)
    spent: dict[str, list[float]] = {entry: [] for entry in ENTRIES}
    cells = {}
    for _ in range(TURNS):
        for entry in ENTRIES:
            changed, seconds = protected(entry, images, surrogate)
            spent[entry].append(seconds)
            cells[entry] = moved(changed, images, surrogate)
    print("| protection | s per image | PhotoGuard's over its | latent shift | mini-lpips |\n|---|---|---|---|---|")
    slow = median(spent["photoguard"])
    for entry in ENTRIES:
        own = median(spent[entry])
        print(f"| {entry} | {own:.4f} | {slow / own:.0f} | {cells[entry]} |")


if __name__ == "__main__":
    main()
