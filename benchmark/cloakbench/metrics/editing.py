"""What an edit kept: the edit of each protected image against the same edit of the clean one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cloakbench.images import Pixels
from cloakbench.metrics import quality
from cloakbench.metrics.comparing import CHUNK, Metric, compare

WINDOWS = (17, 9, 5, 3)
"""Side of the Gaussian at each scale of VIF-p, the finest first; its standard deviation is a fifth of that."""
SMALLEST = 41
"""Least side of an image that still fills the window of the coarsest scale."""
EYE_NOISE = 2.0
"""Variance of the noise of seeing, for pixels from 0 to 255."""
NOTHING = 1e-10


def vif(edited: Tensor, clean: Tensor) -> Tensor:
    """Returns the visual information fidelity `[B]` of two tensors `[B, 3, H, W]` in [0, 1]: 1 for equal images.

    The pixel-domain form VIF-p (Sheikh and Bovik 2006) of each colour channel, averaged. It is 0 where nothing of the
    clean image is left and above 1 where contrast was gained without noise. A channel of one flat colour tells
    nothing: it counts as 1 where the two are equal, else as 0. Images under 41 pixels a side have no room for it.
    """
    x, y = ((images * 255).round().double().flatten(0, 1).unsqueeze(1) for images in (clean, edited))
    is_equal = (x == y).all((1, 2, 3), keepdim=True).double()
    kept, there = torch.zeros_like(is_equal), torch.zeros_like(is_equal)
    for scale, side in enumerate(WINDOWS):
        if scale:
            x, y = (_blurred(image, side)[..., ::2, ::2] for image in (x, y))
        more_kept, more_there = _information(x, y, side)
        kept, there = kept + more_kept, there + more_there
    shares = torch.where(there > 0, kept / there.clamp(min=NOTHING), is_equal)
    return shares.view(clean.shape[:2]).mean(1)


def _information(x: Tensor, y: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Returns what an eye learns of `x` from `y`, and from `x` itself, summed over pixels, in nats.

    Locally y = gain x + noise, so the two are log(1 + gain^2 var(x) / (var(noise) + 2)) and log(1 + var(x) / 2).
    """
    mean_x, mean_y = _blurred(x, side), _blurred(y, side)
    var_x = _blurred(x * x, side) - mean_x**2
    var_y = _blurred(y * y, side) - mean_y**2
    covariance = _blurred(x * y, side) - mean_x * mean_y
    var_x = var_x.masked_fill(var_x < NOTHING, 0.0)
    # Where either is flat, or the two move against each other, nothing is recognised.
    gain = (covariance / (var_x + NOTHING)).masked_fill((var_x == 0) | (var_y < NOTHING), 0.0).clamp(min=0)
    noise = (var_y - gain * covariance).clamp(min=0)
    kept = torch.log1p(gain**2 * var_x / (noise + EYE_NOISE))
    there = torch.log1p(var_x / EYE_NOISE)
    return kept.sum((1, 2, 3), keepdim=True), there.sum((1, 2, 3), keepdim=True)


def _blurred(images: Tensor, side: int) -> Tensor:
    """Returns Gaussian means over windows of `side` pixels that lie inside the images `[N, 1, H, W]`."""
    offsets = torch.arange(side, dtype=images.dtype) - side // 2
    weights = torch.exp(-(offsets**2) / (2 * (side / 5) ** 2))
    weights = weights / weights.sum()
    for axis in (-2, -1):
        inside = images.shape[axis] - side + 1
        # Sums of shifted images: torch's convolution of doubles takes more than twice the time on a CPU.
        shifted = (weight * images.narrow(axis, k, inside) for k, weight in enumerate(weights.tolist()))
        images = sum(shifted, torch.zeros_like(images.narrow(axis, 0, inside)))
    return images


METRICS: dict[str, Metric] = {
    "edit-ssim": quality.METRICS["ssim"],
    "edit-psnr": quality.METRICS["psnr"],
    "edit-vif": Metric(vif, SMALLEST),
}


def measure_edits(
    names: Sequence[str],
    edited_protected: Sequence[Pixels],
    edited_clean: Sequence[Pixels],
    device: str | torch.device = "cpu",
    chunk: int = CHUNK,
) -> dict[str, list[float]]:
    """Returns each metric's values, one an edit, in the order given; raises UserError as `compare` does."""
    return compare({name: METRICS[name] for name in names}, edited_protected, edited_clean, device, chunk)
