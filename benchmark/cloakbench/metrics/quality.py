"""Metrics of pairs: each changed image against its original."""

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
from cloakbench.metrics import catalogue
from cloakbench.metrics.comparing import CHUNK, Measure, PairMeasure, compare
from cloakbench.metrics.loading import create_metric, paths
from cloakbench.models import loader

PSNR_CAP = 80.0
SSIM_SIDE = 11
"""Pixels per side of SSIM's window."""
WHOLE_PIXELS, STRIP_PIXELS = 1 << 22, 1 << 20
"""The largest image whose SSIM is computed in one piece, and how much of a larger one is computed at once."""


@lru_cache(maxsize=32)
def _network(name: str, device: torch.device, files: tuple[Path, ...]) -> Any:
    """Returns pyiqa's network; the last of `files` is the metric's own file, a backbone is found by torchvision."""
    if name == "topiq_fr":
        # The metric's file holds the trained ResNet-50 too, so that ImageNet's need not be downloaded.
        metric = create_metric(name, device, pretrained=False, backbone_pretrain=False)
        with contextlib.redirect_stdout(io.StringIO()):
            metric.load_weights(str(files[-1]))
    else:
        metric = create_metric(name, device, **({"pretrained_model_path": str(files[-1])} if files else {}))
    return metric.net.eval().requires_grad_(False)


def _by_pyiqa(name: str, metric: str = "") -> Measure:
    """Returns the measure that pyiqa calls `name`; `metric` is our name where it needs weights."""

    def measure(changed: Tensor, original: Tensor) -> Tensor:
        network = _network(name, original.device, paths(metric) if metric else ())
        return torch.as_tensor(network(changed, original)).flatten()

    return measure


gmsd = _by_pyiqa("gmsd")
pieapp = _by_pyiqa("pieapp", "pieapp")
topiq_fr = _by_pyiqa("topiq_fr", "topiq-fr")
lpips_alex = _by_pyiqa("lpips", "lpips-alex")
lpips_vgg = _by_pyiqa("lpips-vgg", "lpips-vgg")
ms_ssim = _by_pyiqa("ms_ssim")
fsim = _by_pyiqa("fsim")


def ssim(changed: Tensor, original: Tensor) -> Tensor:
    """Returns SSIM `[B]`: of large images in strips of rows, because pyiqa's convolution takes about 1 kB per pixel."""
    measure = _by_pyiqa("ssim")
    height, width = changed.shape[-2:]
    if height * width <= WHOLE_PIXELS:
        return measure(changed, original)
    windows = height - SSIM_SIDE + 1
    rows = max(1, STRIP_PIXELS // width)
    total = torch.zeros(len(changed), dtype=torch.float64, device=changed.device)
    for first in range(0, windows, rows):
        last = min(first + rows, windows)
        strip = slice(first, last + SSIM_SIDE - 1)
        total += (last - first) * measure(changed[..., strip, :], original[..., strip, :])
    return total / windows


def psnr(changed: Tensor, original: Tensor) -> Tensor:
    """Returns the peak signal-to-noise ratio `[B]` in dB, at most 80, which stands for equal images."""
    return _by_pyiqa("psnr")(changed, original).clamp(max=PSNR_CAP)


def dists(changed: Tensor, original: Tensor) -> Tensor:
    """Returns DISTS `[B]`, 0 for equal images; rounding alone leaves them at -4e-7, and flat ones at up to 0.01."""
    values = _by_pyiqa("dists", "dists")(changed, original).clamp(min=0)
    return torch.where(_is_equal(changed, original), 0.0, values)


def vif_wavelet(changed: Tensor, original: Tensor) -> Tensor:
    """Returns the wavelet VIF `[B]`, 1 for equal images, also where they are flat.

    One pair at a time: it inverts near-singular matrices in single precision, and in a batch they round otherwise.
    """
    pairs = zip(torch.split(changed, 1), torch.split(original, 1), strict=True)
    values = torch.cat([_by_pyiqa("vif")(*pair) for pair in pairs])
    return torch.where(_is_equal(changed, original), 1.0, values)


def _is_equal(changed: Tensor, original: Tensor) -> Tensor:
    return (changed == original).flatten(1).all(1)


def mini_lpips(changed: Tensor, original: Tensor) -> Tensor:
    """Returns the project's own perceptual distance `[B]`; raises UserError where its weights are missing."""
    paths("mini-lpips")
    return torch.as_tensor(loader.mini_lpips(original.device)(changed, original))


def pair_measures(names: Sequence[str]) -> dict[str, PairMeasure]:
    """Returns what `compare` needs of each named metric of pairs."""
    entries = [catalogue.entry(name) for name in names]
    return {entry.name: PairMeasure(entry.function(), entry.least_side, entry.of_set) for entry in entries}


def measure(
    names: Sequence[str],
    changed: Sequence[Pixels],
    originals: Sequence[Pixels],
    device: str | torch.device = "cpu",
    chunk: int = CHUNK,
) -> dict[str, list[float]]:
    """Returns each named metric's values: one per image, in the unit of its facts.

    Args:
        names: Metrics of pairs, of protected images or of edits.
        changed: Protected images, or edits of protected images.
        originals: What each is compared with: its original, or the same edit of the clean image.
        device: Where the metrics are computed.
        chunk: Pairs of one size that are computed at once.

    Raises:
        UserError: As `compare` does.
    """
    return compare(pair_measures(names), changed, originals, device, chunk)
