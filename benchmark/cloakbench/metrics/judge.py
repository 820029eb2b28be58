"""The judge, mini-clip: features of images and zero-shot style names, loaded through open_clip."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from cloakbench import progress
from cloakbench.images import Pixels, to_tensor
from cloakbench.models import registry
from cloakbench.system.memory import at_once


class Judge:
    """A small CLIP trained on every style, on other pictures than any suite's."""

    def __init__(self, folder: Path) -> None:
        config = json.loads((folder / "open_clip_config.json").read_text(encoding="utf-8"))
        self.model: Any = open_clip.CLIP(**config)
        weights = load_file(folder / "open_clip_model.safetensors")
        self.projection = weights.pop("projection").float()
        self.model.load_state_dict(weights)
        self.model.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        self.size = int(config["vision_cfg"]["image_size"])
        length = int(config["text_cfg"]["context_length"])
        self._tokenizer = open_clip.SimpleTokenizer(bpe_path=str(folder / "bpe.txt.gz"), context_length=length)
        self.styles: list[str] = json.loads((folder / "styles.json").read_text(encoding="utf-8"))
        self.digest = registry.digest(folder)

    @torch.no_grad()
    def features(self, images: Sequence[Pixels], chunk: int = 16) -> Tensor:
        """Returns unit-length features `[N, 64]` of 8-bit images, resized to the judge's 128 pixels where needed."""
        parts, chunk = [], at_once(chunk, len(images))
        starts = range(0, len(images), chunk)
        for start in progress.track(starts, len(starts), "groups of images"):
            x = torch.cat(list(map(self._resized, images[start : start + chunk]))) * 2 - 1
            parts.append(self.model.encode_image(x.contiguous(memory_format=torch.channels_last)).float())
        return F.normalize(torch.cat(parts), dim=-1)

    def _resized(self, pixels: Pixels) -> Tensor:
        x = to_tensor([pixels])
        if x.shape[-2:] == (self.size, self.size):
            return x
        return F.interpolate(x, (self.size, self.size), mode="bilinear", antialias=True, align_corners=False)

    @torch.no_grad()
    def text_features(self, texts: Sequence[str]) -> Tensor:
        """Returns unit-length features `[N, 64]` of texts."""
        return F.normalize(self.model.encode_text(self._tokenizer(list(texts))).float(), dim=-1)

    def named_style(self, features: Tensor) -> list[str]:
        """Returns for each image feature the style the judge names."""
        texts = self.text_features([f"a painting in the style of {style}" for style in self.styles])
        return [self.styles[n] for n in (features @ texts.T).argmax(1).tolist()]


def load() -> Judge:
    """Returns the shipped judge."""
    return _load(registry.weights("mini-clip"))


@lru_cache(maxsize=1)
def _load(folder: Path) -> Judge:
    return Judge(folder)
