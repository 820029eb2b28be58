"""Genres of painting: which labels a zero-shot classifier chooses from, and whether it names an artist's genre."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from torch import Tensor

FILE = Path(__file__).with_name("genres.toml")


@dataclass(frozen=True, slots=True)
class Genres:
    """The labels, how texts are made of them, and the genre of each artist that has one; sources are in the file."""

    labels: tuple[str, ...]
    top: int
    """An image counts as of a genre that is among this many most likely ones."""
    clip_prompt: str
    diffusion_prompt: str
    artists: Mapping[str, str]

    @property
    def clip_texts(self) -> list[str]:
        """The texts that CLIP compares an image with, one per label."""
        return [self.clip_prompt.format(label=label) for label in self.labels]

    @property
    def diffusion_texts(self) -> list[str]:
        """The texts under which a diffusion model predicts the noise, one per label."""
        return [self.diffusion_prompt.format(label=label) for label in self.labels]


@lru_cache(maxsize=4)
def load(path: Path = FILE) -> Genres:
    """Returns the genres in a file; raises ValueError where an artist's genre is no label."""
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    labels = tuple(data["labels"])
    if strange := sorted(set(data["artists"].values()) - set(labels)):
        raise ValueError(f"expected genres among the labels of {path.name}, got {', '.join(strange)}")
    return Genres(labels, data["top"], data["clip_prompt"], data["diffusion_prompt"], data["artists"])


def named(features: Tensor, texts: Tensor, label: int, top: int) -> list[bool]:
    """Returns for each image `[N, d]` whether text `label` is among the `top` nearest of `texts` `[L, d]`."""
    nearest = (features @ texts.T).topk(min(top, len(texts)), dim=1).indices
    hits: list[bool] = (nearest == label).any(1).tolist()
    return hits
