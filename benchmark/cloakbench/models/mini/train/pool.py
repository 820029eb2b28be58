"""Pictures drawn anew while trainings run: a worker fills a folder with chunks, trainings read the newest."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cloakbench.datasets.procedural import scenes, styles
from cloakbench.models.mini.train import teacher

CHUNK = 128
KNOWN, WIDE = 104, 105
"""First seed component of pictures of training styles (close framing) and of all styles (the suites' framing)."""
WIDE_EVERY = 4
"""Each fourth chunk holds pictures of all styles, which autoencoders learn from and denoisers do not."""


def draw(number: int) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """Returns chunk `number`: pictures `[128, 128, 128, 3]`, the index of each one's style and of its subject."""
    wide = number % WIDE_EVERY == WIDE_EVERY - 1
    purpose, framing = (WIDE, scenes.WIDE) if wide else (KNOWN, scenes.CLOSE)
    chosen = [n for n, s in enumerate(styles.STYLES) if wide or s.group == "training"]
    rng = np.random.default_rng([purpose, number])
    style, subject = rng.choice(chosen, CHUNK), rng.integers(len(scenes.SUBJECTS), size=CHUNK)
    names = list(scenes.SUBJECTS)
    images = [
        styles.paint(styles.STYLES[s].name, names[k], [purpose, number, n], framing)
        for n, (s, k) in enumerate(zip(style, subject, strict=True))
    ]
    return np.stack(images), style, subject


def to_pixels(images: NDArray[np.uint8]) -> Tensor:
    """Returns pictures `[b, h, w, 3]` as a channels-last float tensor `[b, 3, h, w]` in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 255


@torch.no_grad()
def encode(model: torch.nn.Module, images: NDArray[np.uint8]) -> NDArray[np.float16]:
    """Returns the teacher's latents `[n, 4, 16, 16]` of pictures, in half precision."""
    parts = []
    for rows in np.array_split(np.arange(len(images)), max(1, len(images) // 16)):
        with torch.autocast("cpu", torch.bfloat16):
            parts.append(model.encode(to_pixels(images[rows])).latents.float())  # type: ignore[operator]
    return torch.cat(parts).numpy().astype(np.float16)


def fill(folder: Path, name: str, limit: int, minutes: float) -> None:
    """Draws chunks into `folder` until `limit` are there or the time is up; starts after those that are there."""
    folder.mkdir(parents=True, exist_ok=True)
    model, began = teacher.load(name), time.monotonic()
    number = len(list(folder.glob("*-done")))
    while number < limit and time.monotonic() - began < 60 * minutes:
        images, style, subject = draw(number)
        np.save(folder / f"{number:05}-images.npy", images)
        np.save(folder / f"{number:05}-latents.npy", encode(model, images))
        np.save(folder / f"{number:05}-labels.npy", np.stack([style, subject]))
        (folder / f"{number:05}-done").touch()
        number += 1


class Pool:
    """The chunks in a folder, read as they come: images memory-mapped, latents and labels in memory."""

    def __init__(self, folder: Path, known_only: bool) -> None:
        self.folder, self.known_only = folder, known_only
        self.images: list[NDArray[np.uint8]] = []
        self.latents = np.zeros((0, 4, 16, 16), np.float16)
        self.labels = np.zeros((2, 0), np.int64)
        self._next = 0

    def refresh(self, least: int = 1) -> int:
        """Reads what has come since, waiting until `least` chunks are there; returns the number of pictures."""
        while True:
            latents, labels = [self.latents], [self.labels]
            while (self.folder / f"{self._next:05}-done").exists():
                if not (self.known_only and self._next % WIDE_EVERY == WIDE_EVERY - 1):
                    stem = self.folder / f"{self._next:05}"
                    self.images.append(np.load(f"{stem}-images.npy", mmap_mode="r"))
                    latents.append(np.load(f"{stem}-latents.npy"))
                    labels.append(np.load(f"{stem}-labels.npy"))
                self._next += 1
            self.latents, self.labels = np.concatenate(latents), np.concatenate(labels, 1)
            if len(self.images) >= least:
                return len(self.latents)
            time.sleep(2)

    def picture(self, row: int) -> NDArray[np.uint8]:
        """Returns one picture `[128, 128, 3]`."""
        return self.images[row // CHUNK][row % CHUNK]


def main() -> None:
    """Fills the folder named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--teacher", default="taesd")
    parser.add_argument("--limit", type=int, default=400)
    parser.add_argument("--minutes", type=float, default=120)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    fill(arguments.folder, arguments.teacher, arguments.limit, arguments.minutes)


if __name__ == "__main__":
    main()
