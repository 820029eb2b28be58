"""What a mimic starts from and what it ends up with."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from safetensors.torch import save
from torch import Tensor

from cloakbench.models.loader import BaseModel
from cloakbench.schemas.suite import Sampling


def with_word(texts: Sequence[str], token: str, word: str) -> list[str]:
    """Returns the texts with `word` in place of `token`, where that stands alone: not inside another word."""
    alone = re.compile(rf"(?<!\w){re.escape(token)}(?!\w)")
    return [alone.sub(lambda _: word, text) for text in texts]


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """What the mimic has: images `[N, 3, H, W]` in [0, 1] and a caption for each, in which `token` is the artist.

    `class_word` and `sampling` say how the base model draws class images, where the mimicry wants some.
    """

    images: Tensor
    captions: Sequence[str]
    token: str
    class_word: str
    sampling: Sampling


@dataclass(frozen=True, slots=True)
class Personalised:
    """A base model whose parts have learned an artist; `losses` has one value a step.

    Where words were learned, `words` has one for each stretch of the denoising, first the noisiest, and takes the
    place of `token` in every text. `kept` is what small mimicry leaves behind, in the layout that diffusers loads.
    """

    model: BaseModel
    losses: tuple[float, ...] = ()
    token: str = ""
    words: tuple[str, ...] = ()
    kept: Mapping[str, Tensor] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)

    @torch.no_grad()
    def contexts(self, texts: Sequence[str]) -> Tensor:
        """Returns the embedded texts `[S, N, L, C]`, one set for each of the S stretches of the denoising."""
        if not self.words:
            return self.model.embed(list(texts))[None]
        filled = [with_word(texts, self.token, word) for word in self.words]
        return torch.stack([self.model.embed(one) for one in filled])

    def adapter(self) -> bytes:
        """Returns the adapters or embeddings as a safetensors file; raises ValueError for a mimicry that keeps none."""
        if not self.kept:
            raise ValueError("this mimicry keeps no adapters or embeddings")
        tensors = {name: tensor.contiguous().cpu() for name, tensor in self.kept.items()}
        return save(tensors, dict(self.metadata) or None)

    def save(self, path: Path) -> None:
        """Writes `adapter()` to a file."""
        path.write_bytes(self.adapter())


class Mimicry(Protocol):
    """What the mimic does to learn a style."""

    def personalise(self, model: BaseModel, data: TrainingSet, seed: int) -> Personalised:
        """Returns a model that has learned `data`; the given model stays as it is."""
        ...
