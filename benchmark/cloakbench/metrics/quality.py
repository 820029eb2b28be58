"""How visible a protection is: each protected image against its original."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cloakbench.images import Pixels
from cloakbench.metrics import budget
from cloakbench.metrics.comparing import CHUNK, Measure, Metric, compare
from cloakbench.metrics.loading import made, paths
from cloakbench.models.loader import mini_lpips

PSNR_CAP = 80.0
PATCH = 64
"""Side of PieAPP's patches."""


@lru_cache(maxsize=32)
def _network(name: str, device: torch.device, files: tuple[Path, ...]) -> Any:
    """Returns pyiqa's network; the last of `files` is the metric's own file, a backbone is found by torchvision."""
    if name == "topiq_fr":
        # The metric's file holds the trained ResNet-50 too, so that ImageNet's need not be downloaded.
        metric = made(name, device, pretrained=False, backbone_pretrain=False)
        with contextlib.redirect_stdout(io.StringIO()):
            metric.load_weights(str(files[-1]))
    else:
        metric = made(name, device, **({"pretrained_model_path": str(files[-1])} if files else {}))
    return metric.net.eval().requires_grad_(False)


def _by_pyiqa(name: str, metric: str = "") -> Measure:
    """Returns the measure that pyiqa calls `name`; `metric` is our name where it needs weights."""

    def measure(changed: Tensor, original: Tensor) -> Tensor:
        network = _network(name, original.device, paths(metric) if metric else ())
        return torch.as_tensor(network(changed, original)).flatten()

    return measure


def _psnr(changed: Tensor, original: Tensor) -> Tensor:
    return _by_pyiqa("psnr")(changed, original).clamp(max=PSNR_CAP)


def _dists(changed: Tensor, original: Tensor) -> Tensor:
    """Returns DISTS, 0 for equal images; rounding alone leaves them at -4e-7, and flat ones at up to 0.01."""
    values = _by_pyiqa("dists", "dists")(changed, original).clamp(min=0)
    return torch.where(_is_equal(changed, original), 0.0, values)


def _vif(changed: Tensor, original: Tensor) -> Tensor:
    """Returns the wavelet VIF, 1 for equal images, also where they are flat.

    One pair at a time: it inverts near-singular matrices in single precision, and in a batch they round otherwise.
    """
    pairs = zip(torch.split(changed, 1), torch.split(original, 1), strict=True)
    values = torch.cat([_by_pyiqa("vif")(one, other) for one, other in pairs])
    return torch.where(_is_equal(changed, original), 1.0, values)


def _is_equal(changed: Tensor, original: Tensor) -> Tensor:
    return (changed == original).flatten(1).all(1)


def _mini_lpips(changed: Tensor, original: Tensor) -> Tensor:
    paths("mini-lpips")  # says so where the weights are missing
    return torch.as_tensor(mini_lpips(original.device)(changed, original))


METRICS: dict[str, Metric] = {
    "mini-lpips": Metric(_mini_lpips),
    "ssim": Metric(_by_pyiqa("ssim"), 11),
    "psnr": Metric(_psnr),
    "gmsd": Metric(_by_pyiqa("gmsd")),
    "linf": Metric(budget.linf),
    "mean-change": Metric(budget.mean_change),
    "l2": Metric(budget.l2),
    "low-frequency": Metric(budget.low_frequency),
    "ciede2000": Metric(budget.ciede2000),
    "dists": Metric(_dists, 16),
    "pieapp": Metric(_by_pyiqa("pieapp", "pieapp"), PATCH),
    "topiq-fr": Metric(_by_pyiqa("topiq_fr", "topiq-fr"), 32),
    "lpips-alex": Metric(_by_pyiqa("lpips", "lpips-alex"), 31),
    "lpips-vgg": Metric(_by_pyiqa("lpips-vgg", "lpips-vgg"), 16),
    "ms-ssim": Metric(_by_pyiqa("ms_ssim"), 161),
    "vif-wavelet": Metric(_vif, 65),
    "fsim": Metric(_by_pyiqa("fsim"), 48),
}
"""Least sides: the window at the coarsest scale; for networks, what their strides leave one place of.

`vif-wavelet` returns numbers below 65 pixels too, but its coarsest scale no longer counts then; `fsim`'s longest wave
is 48 pixels.
"""


def measure(
    names: Sequence[str],
    protected: Sequence[Pixels],
    originals: Sequence[Pixels],
    device: str | torch.device = "cpu",
    chunk: int = CHUNK,
) -> dict[str, list[float]]:
    """Returns each metric's values, one an image, in the units of their facts; raises UserError as `compare` does."""
    return compare({name: METRICS[name] for name in names}, protected, originals, device, chunk)
