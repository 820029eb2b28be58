"""mini-viewer: says of a picture what its style is, as a point among styles, and whether it is an intact picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

SIDE = 128
"""Side in pixels of the network's input; other sizes are resized."""
LAYERS = ((3, 24, 5, 2), (24, 48, 3, 2), (48, 64, 3, 1), (64, 96, 3, 2), (96, 128, 3, 2))
"""Channels in, channels out, kernel and stride of each convolution."""
DEPTH_WIDTH = 24
"""Numbers of the style vector that each depth contributes."""
STYLE_WIDTH = DEPTH_WIDTH * (len(LAYERS) + 1)
NEIGHBOURS = 3
"""References that a picture's distance to a set is the mean over: its nearest ones."""
BANK = 72
"""Pictures of the training styles whose distance stands for that of any other style."""
LEAST_CONTRAST = 0.1
"""Least difference between the distance of other styles and the references' own, against a division by nothing."""
LEAST_REACH, STEEPNESS = 1.5, 8.0
"""Least distance between the logits of references and of ruins, and how steeply soundness falls between them."""
SPREADS = 3.0
"""Least distance in standard deviations of the references' logits: what lies among them is no ruin."""
_TINY = 1e-4


@dataclass(frozen=True, slots=True)
class View:
    """What the network says of pictures: style vectors `[B, STYLE_WIDTH]` of unit length, logits `[B]` of soundness."""

    style: Tensor
    soundness: Tensor


def statistics(maps: Tensor) -> Tensor:
    """Returns mean and logarithm of the standard deviation of each channel, `[B, 2 C]`, of maps `[B, C, H, W]`."""
    return torch.cat([maps.mean((2, 3)), (maps.var((2, 3), unbiased=False) + _TINY).log() / 2], dim=1)


class Viewer(nn.Module):
    """A small convolutional network; style is read from statistics at every depth, soundness also from the layout."""

    bank: Tensor
    """Style vectors `[BANK, STYLE_WIDTH]` of pictures of other styles."""
    ruin_level: Tensor
    """The mean logit of drawn ruins, a number."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList()
        self.norms = nn.ModuleList()
        self.depths = nn.ModuleList([nn.Linear(6, DEPTH_WIDTH)])
        for inner, outer, kernel, stride in LAYERS:
            self.convolutions.append(nn.Conv2d(inner, outer, kernel, stride, kernel // 2, bias=False))
            self.norms.append(nn.BatchNorm2d(outer))
            self.depths.append(nn.Linear(2 * outer, DEPTH_WIDTH))
        wide = 6 + sum(2 * outer for _, outer, _, _ in LAYERS)
        self.layout = nn.Linear(16 * LAYERS[-1][1], 64)
        self.judgement = nn.Sequential(nn.Linear(wide + 64, 64), nn.ReLU(), nn.Linear(64, 1))
        self.register_buffer("bank", torch.zeros(BANK, STYLE_WIDTH))
        self.register_buffer("ruin_level", torch.tensor(-3.0))

    def forward(self, pixels: Tensor) -> View:
        """Returns the view of pictures `[B, 3, 128, 128]` in [0, 1]."""
        x = pixels * 2 - 1
        measured = [statistics(x)]
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = F.relu(norm(convolution(x)))
            measured.append(statistics(x))
        parts = [depth(values) for depth, values in zip(self.depths, measured, strict=True)]
        layout = F.relu(self.layout(F.adaptive_avg_pool2d(x, 4).flatten(1)))
        judged = self.judgement(torch.cat([*measured, layout], dim=1)).squeeze(1)
        return View(F.normalize(torch.cat(parts, dim=1), dim=1), judged)


def distance_to_set(style: Tensor, references: Tensor) -> Tensor:
    """Returns each picture's mean distance to its nearest references, `[B]`; style vectors of unit length."""
    distances = (2 - 2 * style @ references.T).clamp(min=_TINY).sqrt()
    return distances.topk(min(NEIGHBOURS, len(references)), dim=1, largest=False).values.mean(1)


def distance_within(references: Tensor) -> Tensor:
    """Returns the references' mean distance to their nearest others, a number; at least two references."""
    distances = (2 - 2 * references @ references.T).clamp(min=_TINY).sqrt()
    others = distances + 4 * torch.eye(len(references), device=distances.device)
    return others.topk(min(NEIGHBOURS, len(references) - 1), dim=1, largest=False).values.mean()


def style_difference(style: Tensor, references: Tensor, bank: Tensor) -> Tensor:
    """Returns for each picture `[B]` how far its style is from the references': 0 as they are from each other.

    1 is the mean distance of the pictures in `bank`, which are of other styles.
    """
    own, other = distance_within(references), distance_to_set(bank, references).mean()
    return (distance_to_set(style, references) - own) / (other - own).clamp(min=LEAST_CONTRAST)


def relative_soundness(logits: Tensor, references: Tensor, ruin_level: Tensor) -> Tensor:
    """Returns how intact pictures are, `[B]` in (0, 1): near 1 as an artist's references are, near 0 as drawn ruins.

    Args:
        logits: The pictures' logits `[B]`.
        references: Those of the references `[N]`, which are intact whatever the network makes of an unknown style.
        ruin_level: That of drawn ruins.
    """
    level = references.mean()
    least = max(LEAST_REACH, SPREADS * float(references.std(unbiased=False)))
    reach = (level - ruin_level).clamp(min=least)
    return torch.sigmoid(STEEPNESS * ((logits - level) / reach + 0.5))


def load(path: Path) -> Viewer:
    """Returns the shipped network, frozen, in single precision."""
    model = Viewer()
    state = load_file(path)
    for name, weight in state.items():
        if weight.is_floating_point():
            state[name] = weight.float()
    model.load_state_dict(state)
    return model.eval().requires_grad_(False).to(memory_format=torch.channels_last)
