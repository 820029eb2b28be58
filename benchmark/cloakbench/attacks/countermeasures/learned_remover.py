"""A remover trained on what the protection does to other images (the idea of LightShed, USENIX Security 2025)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cloakbench.attacks.context import Context, Pairs
from cloakbench.errors import UserError
from cloakbench.images import Pixels, quantise, to_tensor

SEED = 0
"""Of the training: the attacker trains once for all artists."""
GAIN = 16.0
"""Scales perturbations of a few levels to the size that the layers' initial weights are made for."""
WINDOW = 5
"""Side of the window whose mean is taken off the network's input."""


@dataclass(frozen=True, slots=True)
class LearnedRemover:
    """Trains a small network to predict a protection's perturbation and subtracts what it predicts.

    The attacker runs the public tool on images of others. The network sees patches of these images before and after it;
    it learns to return their difference, and nothing for the clean ones. Layers are convolutions of 3 x 3 with ReLU
    between them (as DnCNN, Zhang et al. 2017, arXiv 1608.03981).

    Args:
        steps: Training steps of Adam; half of a batch is clean.
        width: Channels of the hidden layers.
        depth: Number of layers.
        learning_rate: Of Adam.
        batch: Patches a step.
        patch: Side of a patch in pixels.
    """

    steps: int
    width: int = 32
    depth: int = 5
    learning_rate: float = 2e-3
    batch: int = 16
    patch: int = 32

    def __post_init__(self) -> None:
        if min(self.steps, self.width, self.patch) < 1 or self.depth < 2 or self.batch < 2 or self.learning_rate <= 0:
            raise ValueError("steps, width and patch must be at least 1, depth and batch 2, learning_rate above 0")

    def apply(self, images: Sequence[Pixels], context: Context) -> list[Pixels]:
        """Returns the images less the predicted perturbation, same sizes."""
        network = self._trained(context)
        return [quantise(_batch(pixels, context) - network(_batch(pixels, context)))[0] for pixels in images]

    def detect(self, images: Sequence[Pixels], context: Context) -> list[float]:
        """Returns the mean absolute perturbation that the network predicts in each image, in levels of 255."""
        network = self._trained(context)
        return [float(network(_batch(pixels, context)).abs().mean() * 255) for pixels in images]

    def _trained(self, context: Context) -> nn.Module:
        pairs = context.pairs() if context.pairs else Pairs((), ())
        if not pairs.clean:
            raise UserError(
                "expected pairs of images before and after the protection, got none",
                "Run a suite that calibrates strengths on development artists: their images make the pairs.",
            )
        return _train(self, pairs, context.device)


@lru_cache(maxsize=2)
def _train(remover: LearnedRemover, pairs: Pairs, device: torch.device) -> nn.Module:
    """Returns the trained network, frozen; the same pairs are learned once."""
    generator = torch.Generator().manual_seed(SEED)
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        network = PerturbationNetwork(remover.width, remover.depth).to(device)
    if all(map(np.array_equal, pairs.clean, pairs.protected)):
        return network.silenced()
    adam = torch.optim.Adam(network.parameters(), remover.learning_rate)
    for _ in range(remover.steps):
        clean, protected = _patches(pairs, remover.batch // 2, remover.patch, generator)
        inputs = torch.cat([protected, clean]).to(device)
        perturbations = torch.cat([protected - clean, torch.zeros_like(clean)]).to(device)
        loss = F.mse_loss(GAIN * network(inputs), GAIN * perturbations)
        adam.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
    return network.eval().requires_grad_(False)


class PerturbationNetwork(nn.Module):
    """Predicts the perturbation of images `[B, 3, H, W]` in [0, 1], in the same units."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(6, width, 3, padding=1), nn.ReLU()]
        for _ in range(depth - 2):
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU()]
        self.last = nn.Conv2d(width, 3, 3, padding=1)
        self.layers = nn.Sequential(*layers, self.last)

    def silenced(self) -> PerturbationNetwork:
        """Returns the network, which now predicts no perturbation at all."""
        for weights in self.last.parameters():
            nn.init.zeros_(weights)
        return self.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        """Returns the predicted perturbation `[B, 3, H, W]`."""
        padded = F.pad(images, [WINDOW // 2] * 4, mode="reflect")
        detail = images - F.avg_pool2d(padded, WINDOW, 1)
        predicted: Tensor = self.layers(torch.cat([GAIN * detail, images - 0.5], dim=1))
        return predicted / GAIN


def _patches(pairs: Pairs, count: int, side: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Returns `count` random patches `[count, 3, side, side]` before and after protection."""
    before, after = [], []
    for _ in range(count):
        number = int(torch.randint(len(pairs.clean), (), generator=generator))
        clean, protected = pairs.clean[number], pairs.protected[number]
        height, width = min(side, clean.shape[0]), min(side, clean.shape[1])
        row = int(torch.randint(clean.shape[0] - height + 1, (), generator=generator))
        column = int(torch.randint(clean.shape[1] - width + 1, (), generator=generator))
        at = np.s_[row : row + height, column : column + width]
        before.append(clean[at])
        after.append(protected[at])
    return to_tensor(before), to_tensor(after)


def _batch(pixels: Pixels, context: Context) -> Tensor:
    return to_tensor([pixels]).to(context.device)
