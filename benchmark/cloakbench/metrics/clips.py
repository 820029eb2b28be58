"""The CLIP that a suite hands out to protections that need one: mini-clip on the embedded models, else OpenAI's."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import open_clip
import torch
from torch import Tensor
from torch.nn import functional as F

from cloakbench.families import Family
from cloakbench.metrics import judge, spaces, weights
from cloakbench.models import registry

EMBEDDED, PUBLISHED = "mini-clip", "clip-vit-b-32"
PUBLISHED_FILE = "ViT-B-32.pt"
PUBLISHED_METRIC = "clip-distance"
"""A metric that needs the same file."""
_MEAN = (0.48145466, 0.4578275, 0.40821073)
_DEVIATION = (0.26862954, 0.26130258, 0.27577711)
"""OpenAI's normalisation of RGB values in [0, 1]."""


class DifferentiableClip:
    """A CLIP model whose image features have gradients.

    Args:
        model: A model of open_clip with frozen weights; it is copied.
        side: Pixels a side of the images that it was trained with.
        normalise: Normalises images in [0, 1] for the model.
        tokenise: Returns token ids `[N, L]` of texts.
        device: Where it computes.
    """

    def __init__(
        self,
        model: Any,
        side: int,
        normalise: Callable[[Tensor], Tensor],
        tokenise: Callable[[list[str]], Tensor],
        device: torch.device,
    ) -> None:
        self.model = copy.deepcopy(model).to(device)
        self.side = side
        self.device = device
        self._normalise = normalise
        self._tokenise = tokenise

    def encode_images(self, images: Tensor) -> Tensor:
        """Returns unit-length features `[B, d]` of square images `[B, 3, H, W]` in [0, 1], with gradients.

        Images are scaled to the model's side by a bilinear filter.
        """
        scaled = F.interpolate(
            images.float(), (self.side, self.side), mode="bilinear", antialias=True, align_corners=False
        )
        return F.normalize(self.model.encode_image(self._normalise(scaled)).float(), dim=-1)

    @torch.no_grad()
    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Returns unit-length features `[N, d]` of texts."""
        tokens = self._tokenise(list(texts)).to(self.device)
        return F.normalize(self.model.encode_text(tokens).float(), dim=-1)


def name_for(family: Family) -> str:
    """Returns the name of the CLIP that suites on models of a family hand out."""
    return EMBEDDED if family == "mini" else PUBLISHED


def digest(name: str) -> str:
    """Returns the SHA-256 that identifies a CLIP in keys, whether its file is here or not."""
    if name == EMBEDDED:
        return registry.digest(registry.weights(EMBEDDED))
    return weights.digests([PUBLISHED_METRIC])[PUBLISHED_FILE]


def load(name: str, device: torch.device | str) -> DifferentiableClip:
    """Returns a CLIP by name, `mini-clip` or `clip-vit-b-32`; raises UserError where its weights are missing."""
    where = torch.device(device)
    if name == EMBEDDED:
        small = judge.load()
        path = str(registry.weights(EMBEDDED) / "bpe.txt.gz")
        tokenise = open_clip.SimpleTokenizer(bpe_path=path, context_length=small.model.context_length)
        return DifferentiableClip(small.model, small.size, _centred, tokenise, where)
    weights.require([PUBLISHED_METRIC])
    model = spaces.load_clip(PUBLISHED_FILE, str(where)).model
    side = model.visual.image_size
    tokenise = open_clip.SimpleTokenizer(context_length=model.context_length)
    return DifferentiableClip(model, side[0] if isinstance(side, tuple) else side, _standardised, tokenise, where)


def _centred(images: Tensor) -> Tensor:
    """Returns images in [-1, 1]."""
    return images * 2 - 1


def _standardised(images: Tensor) -> Tensor:
    """Returns images as OpenAI's CLIP takes them."""
    mean, deviation = images.new_tensor(_MEAN).view(1, 3, 1, 1), images.new_tensor(_DEVIATION).view(1, 3, 1, 1)
    return (images - mean) / deviation
