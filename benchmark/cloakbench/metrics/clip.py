"""CLIP by OpenAI, through open_clip: features of images and texts, for CMMD, distances of style, and genres."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import open_clip
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from cloakbench import progress
from cloakbench.images import Pixels
from cloakbench.metrics.comparing import checked
from cloakbench.system.memory import at_once


class Clip:
    """A CLIP model with the preparation of images that it was trained with."""

    def __init__(self, model: Any, device: str = "cpu") -> None:
        self.model = model.to(device).eval().requires_grad_(False)
        self.device = device
        side = model.visual.image_size
        # The shorter side to `side` pixels by a bicubic filter, then the central square: OpenAI's own preparation.
        self._prepare = open_clip.image_transform(side[0] if isinstance(side, tuple) else side, is_train=False)
        self._tokenizer = open_clip.SimpleTokenizer(context_length=model.context_length)

    @torch.no_grad()
    def features(self, images: Sequence[Pixels], chunk: int = 16) -> Tensor:
        """Returns unit-length features `[N, d]` of 8-bit images; raises UserError for an empty set or other images."""
        pixels, parts = checked(images), []
        chunk = at_once(chunk, len(pixels))
        starts = range(0, len(pixels), chunk)
        for start in progress.track(starts, len(starts), "groups of images"):
            x = torch.stack([self._prepare(Image.fromarray(p)) for p in pixels[start : start + chunk]])
            parts.append(self.model.encode_image(x.to(self.device)).float().cpu())
        return F.normalize(torch.cat(parts), dim=-1)

    @torch.no_grad()
    def text_features(self, texts: Sequence[str]) -> Tensor:
        """Returns unit-length features `[N, d]` of texts."""
        tokens = self._tokenizer(list(texts)).to(self.device)
        return F.normalize(self.model.encode_text(tokens).float().cpu(), dim=-1)


@lru_cache(maxsize=2)
def load(path: Path, device: str = "cpu") -> Clip:
    """Returns the model in a file that OpenAI published, in single precision."""
    return Clip(open_clip.load_openai_model(str(path), precision="fp32", device=device), device)
