"""The boundary of metrics: 8-bit images in, checked; pairs compared in batches of one size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cloakbench import progress
from cloakbench.errors import UserError
from cloakbench.images import Pixels, to_tensor
from cloakbench.metrics.metric import LEAST_SIDE
from cloakbench.system.memory import at_once

Measure = Callable[[Tensor, Tensor], Tensor]
"""Takes two tensors `[B, 3, H, W]` in [0, 1] on one device, the changed one first, and returns `[B]`."""
CHUNK = 8
"""Pairs computed at once: enough to keep a GPU busy, and VGG16's maps of 512 pixels stay under 8 GiB."""
_CHANNELS = {
    1: "Repeat the one channel three times.",
    4: "Lay the image over a background first: alpha cannot be compared.",
}


@dataclass(frozen=True, slots=True)
class PairMeasure:
    """A metric of pairs: the pure function, and the least side in pixels that its windows need."""

    measure: Measure
    least_side: int = LEAST_SIDE
    of_set: bool = False
    """Whether it needs all pairs of one size together."""


def checked(images: Sequence[Pixels], least_side: int = LEAST_SIDE, needed_by: str = "") -> list[Pixels]:
    """Returns the images as a list, all of them uint8 `[H, W, 3]` of at least `least_side` pixels a side.

    `needed_by` names the metric that needs that side. Raises UserError, saying what was expected and got, for an empty
    set, tensors, floats (in [0, 1] or [-1, 1]), channels that come first, one channel, alpha, and images that are too
    small. Sizes may differ.
    """
    if isinstance(images, (Tensor, np.ndarray)):
        raise _refused("one array or tensor", images, _how_to_make(images))
    if not images:
        raise UserError("expected at least one image, got none", "Give images.")
    for position, image in enumerate(images):
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise _refused(f"image {position}", image, _how_to_make(image))
        if min(image.shape[:2]) < least_side:
            height, width = image.shape[:2]
            got = f"{min(height, width)} ({height} x {width})"
            hint = f"Use larger ones, or leave out {needed_by}." if needed_by else "Use larger ones."
            raise UserError(f"expected images of at least {least_side} pixels a side, got {got}", hint)
    return list(images)


def _refused(what: str, got: object, hint: str) -> UserError:
    return UserError(f"expected 8-bit RGB images, uint8 [H, W, 3], got {what} that is {_described(got)}", hint)


def _described(got: object) -> str:
    if not isinstance(got, (Tensor, np.ndarray)):
        return f"a {type(got).__name__}"
    kind = str(got.dtype).removeprefix("torch.")
    values = f" from {float(got.min()):g} to {float(got.max()):g}" if got.size and 0 not in got.shape else ""
    return f"{kind} {list(got.shape)}{values}"


def _how_to_make(got: object) -> str:
    """Returns a hint: how to make arrays of images from a value of this type."""
    if isinstance(got, Tensor) or (isinstance(got, np.ndarray) and got.dtype != np.uint8):
        low = float(got.min()) if 0 not in got.shape else 0.0
        first = "Map [-1, 1] to [0, 1] first; " if low < 0 else ""
        return f"{first}`cloakbench.images.quantise` makes them from a tensor [B, 3, H, W] in [0, 1]."
    if not isinstance(got, np.ndarray):
        return "`cloakbench.image_files.read_folder` reads them from files."
    if got.ndim == 2:
        return _CHANNELS[1]
    if got.ndim == 3 and got.shape[0] in (1, 3, 4) and got.shape[2] not in (1, 4):
        return "Move the channels last."
    return _CHANNELS.get(got.shape[-1] if got.ndim == 3 else 0, "Give a list of arrays, one per image.")


@torch.no_grad()
def compare(
    metrics: Mapping[str, PairMeasure],
    changed: Sequence[Pixels],
    originals: Sequence[Pixels],
    device: str | torch.device = "cpu",
    chunk: int = CHUNK,
) -> dict[str, list[float]]:
    """Returns each metric's values over pairs of images, in their order.

    `chunk` pairs of one size are computed at once; it changes no value by more than 1e-5 of it. Raises UserError where
    the two lists do not match, an image is no 8-bit RGB image, or one is too small for a metric.
    """
    _check_pairs(metrics, changed, originals)
    values: dict[str, list[float]] = {}
    pairwise: dict[str, Measure] = {}
    of_sets: dict[str, Measure] = {}
    for name, metric in metrics.items():
        values[name] = [0.0] * len(changed)
        group = of_sets if metric.of_set else pairwise
        group[name] = metric.measure
    with full_precision():
        for measures, count in ((pairwise, chunk), (of_sets, len(originals))):
            if measures:
                _fill_in(values, measures, (changed, originals), device, count)
    return values


def _fill_in(
    values: Mapping[str, list[float]],
    measures: Mapping[str, Measure],
    pairs: tuple[Sequence[Pixels], Sequence[Pixels]],
    device: str | torch.device,
    chunk: int,
) -> None:
    """Writes the values of the measures in their places, `chunk` pairs of one size at a time."""
    changed, originals = pairs
    parts = list(_chunks(originals, chunk))
    for positions in progress.track(parts, len(parts), "groups of images"):
        x = to_tensor([changed[n] for n in positions]).to(device)
        y = to_tensor([originals[n] for n in positions]).to(device)
        for name, measure in progress.track(measures.items(), len(measures), "metrics"):
            for position, value in zip(positions, measure(x, y).flatten().tolist(), strict=True):
                values[name][position] = value


def full_precision() -> AbstractContextManager[None]:
    """Returns the context of networks that references computed in single precision: TF32 changes the third digit."""
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)


def _check_pairs(metrics: Mapping[str, PairMeasure], changed: Sequence[Pixels], originals: Sequence[Pixels]) -> None:
    if len(changed) != len(originals) or not len(changed):
        raise UserError(f"expected as many images as originals, got {len(changed)} and {len(originals)}", "Pair them.")
    least_sides = [(metric.least_side, name) for name, metric in metrics.items()]
    least, name = max(least_sides, default=(LEAST_SIDE, ""))
    for image, original in zip(checked(changed, least, name), checked(originals, least, name), strict=True):
        if image.shape != original.shape:
            raise UserError(f"expected images of one size, got {image.shape} and {original.shape}", "Resize one.")


def _chunks(images: Sequence[Pixels], chunk: int) -> Iterator[list[int]]:
    """Yields the positions of at most `chunk` images of one size at a time."""
    if chunk < 1:
        raise UserError(f"expected a chunk of at least 1, got {chunk}", "Leave it out for the default.")
    by_size: dict[tuple[int, ...], list[int]] = {}
    for position, image in enumerate(images):
        by_size.setdefault(image.shape, []).append(position)
    chunk = at_once(chunk, max(map(len, by_size.values())))
    for positions in by_size.values():
        for start in range(0, len(positions), chunk):
            yield positions[start : start + chunk]
