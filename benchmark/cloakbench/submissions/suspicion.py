"""Flags for manual review: signs that a protection's numbers may not mean what they seem to mean.

The idea is AutoAttack's (Croce and Hein 2020, arXiv 2003.01690): a defence that trips one of these is not refused, it
is shown with the flag.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from cloakbench import images, whitebox
from cloakbench.images import Pixels
from cloakbench.models import loader
from cloakbench.submissions.guard import Protected

EXPLAINED = 0.9
"""Share of a change's variance that recolouring and blurring may explain before it is flagged."""
BEYOND_NOISE = 1.5
"""A protection has to change the latents this many times as much as random signs of the same mean change."""
BLURS = (1.0, 2.0)


def flags(originals: Sequence[Pixels], done: Protected) -> list[tuple[str, bool, str]]:
    """Returns (name, whether nothing is suspicious, the measured value in words) for each flag."""
    share = max(map(recoloured, originals, done.images))
    ratio = beyond_noise(originals, done.images)
    equal = any(itertools.starmap(np.array_equal, itertools.combinations(done.images, 2)))
    return [
        ("other input, other output", not equal, "two images came back the same" if equal else "outputs differ"),
        ("no mere blur or recolouring", share <= EXPLAINED, f"explains {share:.0%} of the change at most"),
        (
            "does more than random noise",
            ratio >= BEYOND_NOISE,
            f"moves latents {ratio:.1f} times as far as noise of the same size",
        ),
    ]


def recoloured(original: Pixels, changed: Pixels) -> float:
    """Returns which share of the change's variance a colour matrix and two Gaussian blurs of the image explain.

    0 to 1: R squared of the least-squares fit of the change on the image's channels, their blurs and a constant.
    """
    before = original.astype(np.float64)
    change = changed.astype(np.float64) - before
    total = float(((change - change.mean(axis=(0, 1))) ** 2).sum())
    if total == 0:
        return 1.0 if change.any() else 0.0
    blocks = [before.reshape(-1, 3)]
    for sigma in BLURS:
        blocks.append(ndimage.gaussian_filter(before, (sigma, sigma, 0)).reshape(-1, 3))
    blocks.append(np.ones((before.shape[0] * before.shape[1], 1)))
    columns = np.concatenate(blocks, 1)
    target = change.reshape(-1, 3)
    fitted, *_ = np.linalg.lstsq(columns, target, rcond=None)
    return 1 - float(((target - columns @ fitted) ** 2).sum()) / total


@torch.no_grad()
def beyond_noise(originals: Sequence[Pixels], changed: Sequence[Pixels]) -> float:
    """Returns the change of the latents as a multiple of that by random signs of the same mean change, on mini-a."""
    model = loader.load("mini-a")
    generator = np.random.default_rng(0)
    noisy = [_noise(a, b, generator) for a, b in zip(originals, changed, strict=True)]
    start = whitebox.latent_means(model, images.to_tensor(originals))
    by_protection = whitebox.latent_means(model, images.to_tensor(changed)) - start
    by_noise = whitebox.latent_means(model, images.to_tensor(noisy)) - start
    return float(by_protection.norm() / by_noise.norm().clamp(min=1e-9))


def _noise(original: Pixels, changed: Pixels, generator: np.random.Generator) -> Pixels:
    mean = images.measure_budget(original, changed).mean_255
    signs: NDArray[np.float64] = generator.choice([-1.0, 1.0], size=original.shape)
    return np.clip(np.rint(original + signs * mean), 0, 255).astype(np.uint8)
