"""Equal quality on the artist's own images: a strength in whole 8-bit levels, then a last fractional step.

The level is sought on some of the artist's images. The fractional step scales the change of the images at that level,
on all of them, until the limit that binds is reached. A protector has these images, so nothing is transferred.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from cloakbench.images import Pixels
from cloakbench.metrics import catalogue
from cloakbench.schemas.limits import share_of_limit

LEAST_USE = 0.9
"""Share of its limit that the binding metric has to reach where a stronger level exists."""
SHARES = 64
"""The fractional step is a multiple of 1/64."""
EXPONENT = 1.5
"""Guess of how metrics grow with the level; a wrong one costs tries only."""


class FractionalStep(NamedTuple):
    """The share of a level's change that the images keep."""

    share: float
    """In {0, 1/64, ..., 1}."""
    use: float
    """Largest share of a limit that is used; at most 1."""
    quality: Mapping[str, float]
    """Each limited metric, the mean over all images."""
    images: Sequence[Pixels]


def use_of_limits(limits: Mapping[str, float], quality: Mapping[str, float]) -> dict[str, float]:
    """Returns the share of its limit that each metric uses (`limits.share_of_limit`).

    Example:
        >>> use_of_limits({"gmsd": 0.05, "psnr": 30.0, "ssim": 0.9}, {"gmsd": 0.04, "psnr": 33.0103, "ssim": 0.95})
        {'gmsd': 0.8, 'psnr': 0.5, 'ssim': 0.5}
    """
    use = {}
    for name, limit in limits.items():
        use[name] = round(share_of_limit(catalogue.find(name), quality[name], limit), 6)
    return use


def whole_level(limits: Mapping[str, float], levels: int, measure: Callable[[float], Mapping[str, float]]) -> int:
    """Returns the level that the fractional step starts from.

    That is the strongest level that keeps all limits, if it uses 0.9 of one. Where levels are too coarse for that, it
    is the next one, which breaks a limit.

    Args:
        limits: Worst value allowed of each metric.
        levels: The suite's budget in 8-bit levels.
        measure: Returns each limited metric at a strength, level / levels.
    """
    use = _largest(limits, measure(1.0))
    low, high, low_use = 0, levels, 0.0
    if use <= 1:
        return levels
    while high - low > 1:
        guess = int(high * use ** (-1 / EXPONENT))
        level = min(max(guess, low + 1), high - 1)
        now = _largest(limits, measure(level / levels))
        if now > 1:
            high, use = level, now
        else:
            low, low_use = level, now
    return low if low_use >= LEAST_USE else high


def fractional_step(
    limits: Mapping[str, float],
    originals: Sequence[Pixels],
    protected: Sequence[Pixels],
    measure: Callable[[Sequence[Pixels]], Mapping[str, float]],
) -> FractionalStep:
    """Returns the largest share of the change that keeps all limits, by bisection.

    Args:
        limits: Worst value allowed of each metric.
        originals: The artist's images.
        protected: The same images at a whole level.
        measure: Returns the mean of each limited metric over images.
    """
    whole = measure(protected)
    use = _largest(limits, whole)
    if use <= 1:
        return FractionalStep(1.0, use, whole, protected)
    quality = measure(originals)
    best = FractionalStep(0.0, _largest(limits, quality), quality, originals)
    low, high = 0, SHARES
    while high - low > 1:
        middle = (low + high) // 2
        images = scaled(originals, protected, middle / SHARES)
        quality = measure(images)
        use = _largest(limits, quality)
        if use <= 1:
            low, best = middle, FractionalStep(middle / SHARES, use, quality, images)
        else:
            high = middle
    return best


def fit(
    limits: Mapping[str, float],
    levels: range,
    originals: Sequence[Pixels],
    protect: Callable[[int], Sequence[Pixels]],
    measure: Callable[[Sequence[Pixels]], Mapping[str, float]],
) -> tuple[int, FractionalStep]:
    """Returns the level and the fractional step that keep all limits on all of an artist's images.

    Args:
        limits: Worst value allowed of each metric.
        levels: From the level of `whole_level` to the strongest.
        originals: The artist's images.
        protect: Returns them protected at a level.
        measure: Returns the mean of each limited metric over images.
    """
    level = levels[0]
    step = fractional_step(limits, originals, protect(level), measure)
    # All of the images may keep limits that some of them break: then a stronger level is tried.
    while step.share == 1 and step.use < LEAST_USE and level < levels[-1]:
        level += 1
        step = fractional_step(limits, originals, protect(level), measure)
    return level, step


def scaled(originals: Sequence[Pixels], protected: Sequence[Pixels], share: float) -> list[Pixels]:
    """Returns the originals with a share of their change, in whole levels.

    What a share leaves between two levels is decided per value by a fixed random threshold, so that the mean change
    over many pixels is the share asked for. No value changes by more than in `protected`.
    """
    images = []
    for number, (before, after) in enumerate(zip(originals, protected, strict=True)):
        threshold = np.random.default_rng(number).random(before.shape)
        change = (after.astype(np.int16) - before.astype(np.int16)) * share
        images.append((before + np.floor(change + threshold)).astype(np.uint8))
    return images


def _largest(limits: Mapping[str, float], quality: Mapping[str, float]) -> float:
    return max(use_of_limits(limits, quality).values())
