"""Imitation: whether a viewer would take a picture for an intact work in the artist's style, by mini-viewer.

The distance is `1 - soundness * style`, so that either failing is enough: another style, or a picture that is broken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from cloakbench import progress
from cloakbench.errors import UserError
from cloakbench.images import Pixels, to_tensor
from cloakbench.metrics import weights
from cloakbench.models.mini import viewer
from cloakbench.models.mini.viewer import Viewer, style_difference
from cloakbench.system.memory import at_once

WEIGHTS = "mini-viewer.safetensors"
LEAST_REFERENCES = 2


@dataclass(frozen=True, slots=True)
class Likeness:
    """What the viewer says of each picture, `[N]` in [0, 1]."""

    style: Tensor
    """Likeness of style: 1 as the references are like each other, 0 as the pictures of other styles are."""
    soundness: Tensor
    """Whether it is a picture at all: 1 as intact as the references are, 0 as drawn ruins are."""

    @property
    def distance(self) -> Tensor:
        """0 for an intact picture in the artist's style, 1 for none or for another style."""
        return 1 - self.soundness * self.style


@torch.no_grad()
def features(images: Sequence[Pixels], chunk: int = 16) -> Tensor:
    """Returns `[N, STYLE_WIDTH + 1]` of 8-bit images: style vectors of unit length, and the logit of soundness."""
    model, parts = load(), []
    chunk = at_once(chunk, len(images))
    starts = range(0, len(images), chunk)
    for start in progress.track(starts, len(starts), "groups of images"):
        pixels = [_resized(image) for image in images[start : start + chunk]]
        view = model(torch.cat(pixels).contiguous(memory_format=torch.channels_last))
        parts.append(torch.cat([view.style, view.soundness[:, None]], dim=1))
    return torch.cat(parts)


def _resized(pixels: Pixels) -> Tensor:
    x = to_tensor([pixels])
    if x.shape[-2:] == (viewer.SIDE, viewer.SIDE):
        return x
    return F.interpolate(x, (viewer.SIDE, viewer.SIDE), mode="bilinear", antialias=True, align_corners=False)


def likeness(generated: Tensor, references: Tensor) -> Likeness:
    """Returns the likeness of pictures to an artist's references, both as `features` returns them.

    Raises UserError for fewer than two references, since they have no distance from each other.
    """
    if len(references) < LEAST_REFERENCES:
        raise UserError(f"expected at least {LEAST_REFERENCES} references, got {len(references)}", "Give more images.")
    difference = style_difference(generated[:, :-1], references[:, :-1], load().bank)
    soundness = viewer.relative_soundness(generated[:, -1], references[:, -1], load().ruin_level)
    return Likeness((1 - difference).clamp(0, 1), soundness)


def load() -> Viewer:
    """Returns the shipped network."""
    return _load(weights.find(WEIGHTS).path)


@lru_cache(maxsize=2)
def _load(path: Path) -> Viewer:
    return viewer.load(path)
