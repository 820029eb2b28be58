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

from cloakbench.errors import UserError
from cloakbench.models.loader import BaseModel
from cloakbench.schemas.suite import Sampling

NEAREST = 4
"""Words before the token that stay when a caption is shortened."""


def with_word(texts: Sequence[str], token: str, word: str) -> list[str]:
    """Returns the texts with `word` in place of `token`, where that stands alone: not inside another word."""
    alone = _alone(token)
    return [alone.sub(lambda _: word, text) for text in texts]


def _alone(token: str) -> re.Pattern[str]:
    """Returns the pattern of a token that is not part of a longer word."""
    return re.compile(rf"(?<!\w){re.escape(token)}(?!\w)")


def keep_token(model: BaseModel, texts: Sequence[str], token: str) -> list[str]:
    """Returns the texts, shortened where the model's text encoder would cut `token` off behind a long caption.

    Words go from the end of what stands before the token, but for the four nearest to it ("in the style of"). Texts
    without the token, and those in which it survives, stay as they are. Raises UserError where it cannot be kept.
    """
    return [_shortened(model, text, token) for text in texts]


def _shortened(model: BaseModel, text: str, token: str) -> str:
    """Returns the text with as few words taken out as `token` needs to survive."""
    first = _alone(token).search(text)
    if first is None:
        return text
    preceding = text[: first.start()].split(" ")
    split = max(len(preceding) - 1 - NEAREST, 0)
    before, clause = preceding[:split], [*preceding[split:-1], preceding[-1] + text[first.start() :]]
    while not survives(model, text, token):
        if not before:
            raise UserError(
                f"expected a caption in which {model.name!r} reads {token!r}, got {text[:60]!r}...",
                "Shorten the caption: its text encoder reads only the first words.",
            )
        before = before[:-1]
        text = " ".join([*before, *clause])
    return text


def survives(model: BaseModel, text: str, token: str) -> bool:
    """Returns whether the text encoder reads all of the token's first occurrence; True where the text has none."""
    first = _alone(token).search(text)
    if first is None:
        return True
    limit = int(model.tokenizer.model_max_length)
    needed = model.tokenizer(text[: first.end()], truncation=True, max_length=limit + 1).input_ids
    return len(needed) <= limit


def require_token(model: BaseModel, prompts: Sequence[str], token: str) -> None:
    """Raises UserError for a prompt in which the model's text encoder would cut `token` off: it asks for no style."""
    for prompt in prompts:
        if not survives(model, prompt, token):
            raise UserError(
                f"expected a prompt in which {model.name!r} reads {token!r}, got {prompt[:60]!r}...",
                "Put the token further to the front, or shorten the prompt.",
            )


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
    """A base model whose parts have learned an artist; `losses` has one value per step.

    Where words were learned, `words` has one for each stretch of the denoising, first the noisiest, and takes the
    place of `token` in every text. `adapters` are the LoRA weights or word embeddings, in the layout that diffusers
    loads; empty for a mimicry that trains the whole denoiser. Every prompt gets `ending`, and guidance moves away from
    `negative`.
    """

    model: BaseModel
    losses: tuple[float, ...] = ()
    token: str = ""
    words: tuple[str, ...] = ()
    adapters: Mapping[str, Tensor] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    ending: str = ""
    negative: str = ""

    def guided(self, prompts: Sequence[str]) -> Tensor:
        """Returns the contexts `[S, N, L, C]` that guidance moves towards: of the prompts with their ending."""
        return self.contexts([prompt + self.ending for prompt in prompts])

    def unguided(self) -> Tensor:
        """Returns the context `[S, 1, L, C]` that guidance moves away from: of the negative prompt."""
        if not self.words:
            return self.model.embed_negative(self.negative)[None]
        return self.contexts([self.negative])

    @torch.no_grad()
    def contexts(self, texts: Sequence[str]) -> Tensor:
        """Returns the embedded texts `[S, N, L, C]`, one set for each of the S stretches of the denoising."""
        if not self.words:
            return self.model.embed(list(texts))[None]
        return torch.stack([self.model.embed(with_word(texts, self.token, word)) for word in self.words])

    def adapter(self) -> bytes:
        """Returns the adapters or embeddings as a safetensors file; raises ValueError for a mimicry that keeps none."""
        if not self.adapters:
            raise ValueError("this mimicry keeps no adapters or embeddings")
        tensors = {name: tensor.contiguous().cpu() for name, tensor in self.adapters.items()}
        return save(tensors, dict(self.metadata) or None)

    def save(self, path: Path) -> None:
        """Writes `adapter()` to a file."""
        path.write_bytes(self.adapter())


class MimicryStage(Protocol):
    """What the mimic does to learn a style."""

    def personalise(self, model: BaseModel, data: TrainingSet, seed: int) -> Personalised:
        """Returns a model that has learned `data`; the given model stays as it is."""
        ...
