"""How visible a protection is: each protected image against its original."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import pyiqa
import torch
from torch import Tensor

from benchmark.errors import UserError
from benchmark.images import Pixels, to_tensor
from benchmark.models.loader import mini_lpips

Measure = Callable[[Tensor, Tensor], Tensor]
"""Takes two tensors `[B, 3, H, W]` in [0, 1], the changed one first, and returns `[B]`."""
PSNR_CAP = 80.0


@lru_cache(maxsize=8)
def _pyiqa(name: str) -> Any:
    return pyiqa.create_metric(name, device="cpu")


def _by_pyiqa(name: str) -> Measure:
    def measure(protected: Tensor, original: Tensor) -> Tensor:
        return torch.as_tensor(_pyiqa(name)(protected, original)).flatten()

    return measure


def _psnr(protected: Tensor, original: Tensor) -> Tensor:
    return _by_pyiqa("psnr")(protected, original).clamp(max=PSNR_CAP)


def _mini_lpips(protected: Tensor, original: Tensor) -> Tensor:
    return torch.as_tensor(mini_lpips()(protected, original))


def _linf(protected: Tensor, original: Tensor) -> Tensor:
    return ((protected - original).abs().amax((1, 2, 3)) * 255).round()


METRICS: dict[str, Measure] = {
    "mini-lpips": _mini_lpips,
    "ssim": _by_pyiqa("ssim"),
    "psnr": _psnr,
    "gmsd": _by_pyiqa("gmsd"),
    "linf": _linf,
}


def measure(names: Sequence[str], protected: Sequence[Pixels], originals: Sequence[Pixels]) -> dict[str, list[float]]:
    """Returns each metric's values, one an image; raises UserError where the two lists do not match."""
    return compare({name: METRICS[name] for name in names}, protected, originals)


@torch.no_grad()
def compare(
    metrics: Mapping[str, Measure], changed: Sequence[Pixels], originals: Sequence[Pixels]
) -> dict[str, list[float]]:
    """Returns each metric's values over pairs of images; raises UserError where the two lists do not match."""
    if len(changed) != len(originals) or not changed:
        raise UserError(f"expected as many images as originals, got {len(changed)} and {len(originals)}", "Pair them.")
    values: dict[str, list[float]] = {name: [] for name in metrics}
    for one, other in zip(changed, originals, strict=True):
        if one.shape != other.shape:
            raise UserError(f"expected images of one size, got {one.shape} and {other.shape}", "Resize one.")
        pair = to_tensor([one]), to_tensor([other])
        for name, metric in metrics.items():
            values[name].append(float(metric(*pair)))
    return values
