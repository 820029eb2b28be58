"""mini-lpips: LPIPS's form on small fixed features, so that a perceptual distance needs no download."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

WIDTHS = (24, 48, 64, 96)


class MiniLPIPS(nn.Module):
    """Distance between images: squared differences of channel-normalised features, weighted, averaged, summed.

    The form is that of LPIPS (Zhang et al. 2018, arXiv 1801.03924); features and weights are this project's own.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList([nn.Conv2d(3, WIDTHS[0], 5, 2, 2)])
        self.stages.extend([nn.Conv2d(a, b, 3, 2, 1) for a, b in pairwise(WIDTHS)])
        self.heads = nn.ParameterList([torch.full((width,), 0.1) for width in WIDTHS])

    def features(self, images: Tensor) -> list[Tensor]:
        """Returns the four feature maps of `[B, 3, H, W]` in [0, 1], each of unit length over channels."""
        x, maps = images * 2 - 1, []
        for stage in self.stages:
            x = torch.relu(stage(x))
            maps.append(x * (x.square().sum(1, keepdim=True) + 1e-8).rsqrt())
        return maps

    def spatial(self, x: Tensor, y: Tensor) -> list[Tensor]:
        """Returns the weighted squared difference per stage, `[B, H_l, W_l]` each."""
        pairs = zip(self.heads, self.features(x), self.features(y), strict=True)
        return [torch.einsum("c,bchw->bhw", head.abs(), (a - b).square()) for head, a, b in pairs]

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Returns the distance of each pair, `[B]`, 0 for equal images; inputs `[B, 3, H, W]` in [0, 1]."""
        return torch.stack([part.mean((1, 2)) for part in self.spatial(x, y)]).sum(0)


def load(path: Path) -> MiniLPIPS:
    """Returns the shipped distance, frozen, in single precision."""
    model = MiniLPIPS()
    model.load_state_dict({name: weight.float() for name, weight in load_file(path).items()})
    return model.eval().requires_grad_(False)
