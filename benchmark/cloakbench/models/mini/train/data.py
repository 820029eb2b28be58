"""Training pictures: drawn once by all cores, kept as one memory-mapped array per set."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cloakbench.datasets.procedural import scenes, styles

VAE_ONLY, KNOWN, HELD_OUT_CHECK = 101, 102, 103
"""First seed component of each set, so that no two sets (nor the suites, which use others) share a picture."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """Pictures `[n, 128, 128, 3]` uint8 with the index of style and subject of each."""

    images: NDArray[np.uint8]
    style: NDArray[np.int64]
    subject: NDArray[np.int64]

    def batch(self, rows: NDArray[np.intp]) -> torch.Tensor:
        """Returns rows as a float tensor `[b, 3, 128, 128]` in [-1, 1]."""
        pixels = torch.from_numpy(self.images[rows]).permute(0, 3, 1, 2).float()
        return pixels / 127.5 - 1


def _draw(job: tuple[str, str, list[int]]) -> NDArray[np.uint8]:
    return styles.paint(*job)


def draw(folder: Path, name: str, chosen: list[str], per_pair: int, purpose: int) -> Pictures:
    """Returns `per_pair` pictures of every style in `chosen` with every subject, drawn now or read from `folder`."""
    subjects = list(scenes.SUBJECTS)
    order = styles.learnable_names()
    style_numbers = [order.index(style) for style in chosen]
    numbers, style, subject = np.array(list(product(range(per_pair), style_numbers, range(len(subjects))))).T
    path = folder / f"{name}-{per_pair}.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        jobs = []
        for n, s, k in zip(numbers.tolist(), style.tolist(), subject.tolist(), strict=True):
            jobs.append((order[s], subjects[k], [purpose, s, k, n]))
        with ProcessPoolExecutor(os.cpu_count()) as pool:
            images = np.stack(list(pool.map(_draw, jobs, chunksize=64)))
        partial = path.with_suffix(".partial.npy")
        np.save(partial, images)
        partial.replace(path)
    return Pictures(np.load(path, mmap_mode="r"), style, subject)


def training(folder: Path) -> Pictures:
    """Returns the pictures that the diffusion models learn: training styles only."""
    return draw(folder, "training", styles.names("training"), 64, KNOWN)


def held_out(folder: Path) -> Pictures:
    """Returns pictures of development styles for the VAE and the judge; no suite scores on these styles."""
    return draw(folder, "held-out", styles.names("development"), 28, VAE_ONLY)


def check(folder: Path) -> Pictures:
    """Returns pictures of all styles that nothing is trained on, for the gates."""
    return draw(folder, "check", styles.learnable_names(), 2, HELD_OUT_CHECK)


def joined(*sets: Pictures) -> Pictures:
    """Returns several sets as one, in memory."""
    columns = zip(*[(pictures.images, pictures.style, pictures.subject) for pictures in sets], strict=True)
    return Pictures(*map(np.concatenate, columns))
