"""Pictures drawn anew while trainings run: workers fill a folder with chunks, trainings read them as they come."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from numpy.typing import NDArray
from torch import Tensor

from cloakbench.datasets.procedural import scenes, styles
from cloakbench.models.mini.train import teacher

CHUNK = 128
KNOWN, WIDE = 104, 105
"""First seed component of pictures of training styles (close framing) and of development styles too (wide framing)."""
WIDE_EVERY = 4
"""Each fourth chunk holds pictures of development styles too, which autoencoders learn from and base models do not."""
_EMPTY = 2.0
"""Seconds between two readings of a folder that has too few pictures yet."""


def is_wide(number: int) -> bool:
    """Returns whether a chunk holds pictures of development styles too."""
    return number % WIDE_EVERY == WIDE_EVERY - 1


def draw(number: int, count: int = CHUNK) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Returns a chunk's pictures `[count, 128, 128, 3]` and their labels `[2, count]`: index of style, of subject."""
    purpose, framing = (WIDE, scenes.WIDE) if is_wide(number) else (KNOWN, scenes.CLOSE)
    chosen = list(range(len(styles.STYLES))) if is_wide(number) else styles.numbers("training")
    rng = np.random.default_rng([purpose, number])
    style, subject = rng.choice(chosen, count), rng.integers(len(scenes.SUBJECTS), size=count)
    names, images = list(scenes.SUBJECTS), []
    for n, (s, k) in enumerate(zip(style, subject, strict=True)):
        images.append(styles.paint(styles.STYLES[s].name, names[k], [purpose, number, n], framing))
    return np.stack(images), np.stack([style, subject]).astype(np.int64)


def to_pixels(images: NDArray[np.uint8]) -> Tensor:
    """Returns pictures `[b, h, w, 3]` as a float tensor `[b, 3, h, w]` in [0, 1]."""
    return torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).float() / 255


@torch.no_grad()
def encode(model: AutoencoderTiny, images: NDArray[np.uint8]) -> NDArray[np.float16]:
    """Returns the teacher's latents `[n, 4, 16, 16]` of pictures, in half precision."""
    device, parts = next(model.parameters()).device, []
    for part in np.array_split(images, max(1, len(images) // 16)):
        x = to_pixels(part).to(device).contiguous(memory_format=torch.channels_last)
        parts.append(model.encode(x * 2 - 1).latents.float().cpu())
    return torch.cat(parts).numpy().astype(np.float16)


@dataclass(frozen=True, slots=True)
class Worker:
    """One of `of` processes that fill a folder, each with every `of`-th chunk."""

    folder: Path
    teacher: str
    index: int = 0
    of: int = 1

    def fill(self, limit: int, minutes: float, count: int = CHUNK) -> None:
        """Draws chunks until `limit` are there or the time is up; a chunk that is there already is not drawn again."""
        self.folder.mkdir(parents=True, exist_ok=True)
        model, until = teacher.load(self.teacher), time.monotonic() + 60 * minutes
        for number in range(self.index, limit, self.of):
            if time.monotonic() > until:
                return
            self._chunk(number, count, model)

    def _chunk(self, number: int, count: int, model: AutoencoderTiny) -> None:
        stem, latents = self.folder / f"{number:05}", self.folder / f"{number:05}-{self.teacher}.npy"
        if latents.exists():
            return
        images, labels = draw(number, count)
        np.save(f"{stem}-images.npy", images)
        np.save(f"{stem}-labels.npy", labels)
        partial = latents.with_suffix(".partial.npy")
        np.save(partial, encode(model, images))
        partial.replace(latents)  # last: it says that the chunk is whole


class Pool:
    """The chunks in a folder, read as they come: pictures memory-mapped, latents and labels in memory."""

    def __init__(self, folder: Path, teacher_name: str, known_only: bool) -> None:
        self.folder, self.teacher, self.known_only = folder, teacher_name, known_only
        self.latents = np.zeros((0, 4, 16, 16), np.float16)
        self.labels = np.zeros((2, 0), np.int64)
        self._images: list[NDArray[np.uint8]] = []
        self._starts = np.zeros(1, np.intp)
        self._next = 0

    def wait(self, least: int = 4) -> Pool:
        """Returns the pool once `least` chunks have been read."""
        self._read()
        while len(self._images) < least:
            time.sleep(_EMPTY)
            self._read()
        return self

    def follow(self, step: int) -> None:
        """Reads what has been drawn since: in the first call, and then in every fiftieth step."""
        if step % 50 == 0 or not self._images:
            self._read()

    def _read(self) -> None:
        latents, labels = [self.latents], [self.labels]
        while (path := self.folder / f"{self._next:05}-{self.teacher}.npy").exists():
            if not (self.known_only and is_wide(self._next)):
                stem = self.folder / f"{self._next:05}"
                self._images.append(np.load(f"{stem}-images.npy", mmap_mode="r"))
                latents.append(np.load(path))
                labels.append(np.load(f"{stem}-labels.npy"))
            self._next += 1
        self.latents, self.labels = np.concatenate(latents), np.concatenate(labels, 1)
        self._starts = np.cumsum([0, *(len(chunk) for chunk in self._images)])

    def picture(self, row: int) -> NDArray[np.uint8]:
        """Returns one picture `[128, 128, 3]`."""
        chunk = int(np.searchsorted(self._starts, row, "right")) - 1
        return np.asarray(self._images[chunk][row - self._starts[chunk]])
