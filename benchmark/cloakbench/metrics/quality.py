"""Metrics of pairs: each changed image against its original."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from cloakbench.images import Pixels
from cloakbench.metrics import catalogue
from cloakbench.metrics.comparing import CHUNK, Measure, PairMeasure, compare
from cloakbench.metrics.loading import create_metric, paths
from cloakbench.models import loader

PSNR_CAP = 80.0
SSIM_SIDE = 11
"""Pixels per side of SSIM's window."""
WHOLE_PIXELS, STRIP_PIXELS = 1 << 22, 1 << 20
"""The largest image whose SSIM or MS-SSIM is computed in one piece, and how much of a larger one at once."""
MS_SSIM_EXPONENTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Weights of the five scales of MS-SSIM, the finest first (Wang, Simoncelli and Bovik 2003, section 3.2)."""


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
fsim = _by_pyiqa("fsim")


def ssim(changed: Tensor, original: Tensor) -> Tensor:
    """Returns SSIM `[B]`: of large images in strips of rows, because pyiqa's convolution takes about 1 kB per pixel."""
    measure = _by_pyiqa("ssim")
    if changed[0, 0].numel() <= WHOLE_PIXELS:
        return measure(changed, original)
    total = torch.zeros(len(changed), dtype=torch.float64, device=changed.device)
    for rows, share in _strips(changed):
        total += share * measure(changed[..., rows, :], original[..., rows, :])
    return total


def ms_ssim(changed: Tensor, original: Tensor) -> Tensor:
    """Returns MS-SSIM `[B]`: of large images by pyiqa's parts in strips of rows, as `ssim`."""
    if changed[0, 0].numel() <= WHOLE_PIXELS:
        return _by_pyiqa("ms_ssim")(changed, original)
    from pyiqa.archs.func_util import preprocess_rgb  # importing pyiqa's networks takes a while

    network = _network("ms_ssim", original.device, ())
    settings = network.test_y_channel, network.data_range, network.color_space
    x, y = preprocess_rgb(changed, *settings).double(), preprocess_rgb(original, *settings).double()
    exponents = torch.tensor(MS_SSIM_EXPONENTS).to(x)
    product = torch.ones(len(x), dtype=torch.float64, device=x.device)
    for exponent in exponents[:-1]:
        product *= _structure(x, y, network.data_range)[1] ** exponent
        padding = (x.shape[2] % 2, x.shape[3] % 2)
        x, y = avg_pool2d(x, 2, padding=padding), avg_pool2d(y, 2, padding=padding)
    return product * _structure(x, y, network.data_range)[0] ** exponents[-1]


def _structure(x: Tensor, y: Tensor, data_range: float) -> Tensor:
    """Returns SSIM and its factor of contrast and structure `[2, B]`, means over strips of rows."""
    from pyiqa.archs.ssim_arch import ssim as parts

    total = torch.zeros(2, len(x), dtype=x.dtype, device=x.device)
    for rows, share in _strips(x):
        total += share * torch.stack(parts(x[..., rows, :], y[..., rows, :], get_cs=True, data_range=data_range))
    return total


def _strips(image: Tensor) -> Iterator[tuple[slice, float]]:
    """Yields the rows of each strip of `[B, C, H, W]`, and its share of all positions of SSIM's window."""
    height, width = image.shape[-2:]
    windows = height - SSIM_SIDE + 1
    step = max(1, STRIP_PIXELS // width)
    for first in range(0, windows, step):
        last = min(first + step, windows)
        yield slice(first, last + SSIM_SIDE - 1), (last - first) / windows


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
