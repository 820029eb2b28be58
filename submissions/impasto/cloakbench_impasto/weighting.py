"""The perceptual map: the five maps' weighted mean, its weights refined for each image as the descent goes on."""

from __future__ import annotations

import torch
from torch import Tensor

from cloakbench_impasto import jnd

RATE = 1.0
"""How strongly a refinement moves the weights (project-defined)."""


class PerceptualMap:
    """`M = sum_j w_j JND'_j` with weights of each image's own, all alike at first.

    Attributes:
        maps: The quantised maps `[B, J, H, W]`.
        weights: `[B, J]`, at least 0, of sum 1.
    """

    def __init__(self, images: Tensor, names: tuple[str, ...]) -> None:
        grey = jnd.luma(images)
        maps = [jnd.quantised(jnd.MAPS[name](grey)) for name in names] or [torch.ones_like(grey)]
        self.maps = torch.stack(maps, 1)
        self.weights = torch.full(self.maps.shape[:2], 1 / self.maps.shape[1], device=images.device)

    def value(self) -> Tensor:
        """Returns M, `[B, 1, H, W]`: at most 1, which is where a change is noticed most."""
        return torch.einsum("bj,bjhw->bhw", self.weights, self.maps)[:, None]

    def refine(self, delta: Tensor) -> None:
        """Lowers `||M delta||_1` by a step of exponentiated gradient (Kivinen and Warmuth 1997) in the weights.

        A map gains weight where it is low on the pixels that the perturbation `[B, 3, H, W]` uses.
        """
        used = delta.abs().sum(1)
        overlap = torch.einsum("bhw,bjhw->bj", used, self.maps) / used.sum((1, 2))[:, None].clamp(min=1e-12)
        self.weights = torch.softmax(self.weights.log() - RATE * overlap, 1)
