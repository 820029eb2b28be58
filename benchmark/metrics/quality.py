"""How visible a protection is: each protected image against its original."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import pyiqa
import torch
from torch import Tensor

from benchmark.errors import UserError
from benchmark.images import Pixels, measure_budget, to_tensor
from benchmark.models.loader import mini_lpips

PSNR_CAP = 80.0


@lru_cache(maxsize=8)
def _pyiqa(name: str) -> Any:
    return pyiqa.create_metric(name, device="cpu")


def _by_pyiqa(name: str) -> Callable[[Tensor, Tensor], Tensor]:
    def measure(protected: Tensor, original: Tensor) -> Tensor:
        return torch.as_tensor(_pyiqa(name)(protected, original)).flatten()

    return measure


def _psnr(protected: Tensor, original: Tensor) -> Tensor:
    return _by_pyiqa("psnr")(protected, original).clamp(max=PSNR_CAP)


def _mini_lpips(protected: Tensor, original: Tensor) -> Tensor:
    return torch.as_tensor(mini_lpips()(protected, original))


def _linf(protected: Tensor, original: Tensor) -> Tensor:
    return ((protected - original).abs().amax((1, 2, 3)) * 255).round()


METRICS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mini-lpips": _mini_lpips,
    "ssim": _by_pyiqa("ssim"),
    "psnr": _psnr,
    "gmsd": _by_pyiqa("gmsd"),
    "linf": _linf,
}
"""Each takes two tensors `[B, 3, H, W]` in [0, 1] (protected, original) and returns `[B]`."""


@torch.no_grad()
def measure(names: Sequence[str], protected: Sequence[Pixels], originals: Sequence[Pixels]) -> dict[str, list[float]]:
    """Returns each metric's values, one an image; raises UserError where the two lists do not match."""
    if len(protected) != len(originals) or not protected:
        raise UserError(
            f"expected as many images as originals, got {len(protected)} and {len(originals)}", "Pair them."
        )
    values: dict[str, list[float]] = {name: [] for name in names}
    for changed, original in zip(protected, originals, strict=True):
        if changed.shape != original.shape:
            raise UserError(f"expected images of one size, got {changed.shape} and {original.shape}", "Resize one.")
        pair = to_tensor([changed]), to_tensor([original])
        for name in names:
            values[name].append(float(METRICS[name](*pair)))
    return values


def mean_change(protected: Sequence[Pixels], originals: Sequence[Pixels]) -> float:
    """Returns the mean absolute change over all images, in levels of 1/255."""
    changes = [measure_budget(o, p).mean_255 for p, o in zip(protected, originals, strict=True)]
    return sum(changes) / len(changes)
