"""The pictures that mini-viewer learns from: drawn, reconstructed, generated, painted by mimics, decoded at random."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from cloakbench.datasets.procedural import styles
from cloakbench.models.mini.train import paint
from cloakbench.models.mini.train.pool import Pool, to_pixels

DRAWN, CHUNKS = 2400, 15
"""Drawn pictures at most, and chunks of the pool that are waited for."""
RECONSTRUCTED, DECODED, GENERATED = 160, 96, 54
"""Pictures through each autoencoder, of random latents through each, and generations of each base model."""
REPEATED = 4
"""How often each mimic's picture stands among the others, which are many more."""
SEED = 92
Pictures = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class TrainingPictures:
    """What the training draws its batches from; all pictures `[n, 128, 128, 3]`."""

    drawn: Pictures
    style: NDArray[np.int64]
    """Index of the style of each drawn picture."""
    reconstructed: Pictures
    """The drawn pictures of `reconstructed_rows` after an autoencoder."""
    reconstructed_rows: NDArray[np.int64]
    intact: Pictures
    """What base models and clean mimics paint."""
    ruined: Pictures
    """What mimics paint after a protection, and decoded random latents."""


def strips(folder: Path) -> tuple[list[Pictures], list[Pictures]]:
    """Returns the pictures of mimics below `folder`: those of clean arms, and those of protected ones.

    Files are named `STYLE/ARM@LEVELS.png`; pictures stand side by side. Random noise and the floor are left out.
    """
    clean: list[Pictures] = []
    protected: list[Pictures] = []
    for path in sorted(folder.rglob("*@*.png")):
        arm = path.stem.partition("@")[0]
        if arm not in ("floor", "random-noise"):
            (clean if arm == "clean" else protected).append(cut(path))
    return clean, protected


def cut(path: Path) -> Pictures:
    """Returns the square pictures `[n, 128, 128, 3]` that stand side by side in a PNG."""
    whole = np.asarray(Image.open(path).convert("RGB"))
    return np.stack(np.split(whole, whole.shape[1] // whole.shape[0], axis=1))


@torch.no_grad()
def random_latents(vae: AutoencoderKL, drawn: Pictures, count: int, rng: np.random.Generator) -> Pictures:
    """Returns what the decoder makes of latents that are smooth noise, alone or laid over a picture's latent."""
    parts = []
    for start in range(0, count, 8):
        x = to_pixels(drawn[rng.integers(len(drawn), size=8)])
        latents = vae.encode(x * 2 - 1).latent_dist.mode() * vae.config.scaling_factor
        source = torch.Generator().manual_seed(int(rng.integers(2**31)) + start)
        fields = torch.randn(latents.shape, generator=source)
        if rng.random() < 0.4:
            fields = F.interpolate(F.avg_pool2d(fields, 2) * 2, scale_factor=2, mode="bilinear")
        share = float(rng.uniform(0, 0.4)) if rng.random() < 0.6 else 0.0
        mixed = fields * float(rng.uniform(0.8, 2.5)) * float(latents.std()) + latents * share
        decoded = vae.decode(mixed / vae.config.scaling_factor).sample
        parts.append(_to_images(decoded / 2 + 0.5))
    return np.concatenate(parts)[:count]


@torch.no_grad()
def reconstructions(vae: AutoencoderKL, drawn: Pictures) -> Pictures:
    """Returns drawn pictures after encoder and decoder."""
    parts = []
    for part in np.array_split(drawn, max(1, len(drawn) // 8)):
        parts.append(_to_images(vae(to_pixels(part) * 2 - 1).sample / 2 + 0.5))
    return np.concatenate(parts)


def _to_images(pixels: Tensor) -> Pictures:
    return (pixels.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()


def training_pictures(pool: Pool, most: int) -> tuple[Pictures, NDArray[np.int64]]:
    """Returns up to `most` drawn pictures of training styles and the index of each one's style."""
    pool.wait(CHUNKS)
    rows = np.flatnonzero(np.isin(pool.labels[0], styles.numbers("training")))[:most]
    return np.stack([pool.picture(int(row)) for row in rows]), pool.labels[0, rows]


def gather(pool: Pool, models: list[Path], mimics: Path) -> TrainingPictures:
    """Returns the training's pictures.

    Args:
        pool: Drawn pictures.
        models: Folders of base models, whose autoencoders reconstruct and decode, and whose generations are intact.
        mimics: Folder of images by mimics, as `tests.benchmarks.judge_mimics` writes it.
    """
    rng = np.random.default_rng(SEED)
    drawn, style = training_pictures(pool, DRAWN)
    clean, ruined = strips(mimics)
    rows: list[NDArray[np.int64]] = []
    again: list[Pictures] = []
    intact, ruined = clean * REPEATED, ruined * REPEATED
    for folder in models:
        vae = AutoencoderKL.from_pretrained(folder, subfolder="vae", torch_dtype=torch.float32).eval()
        chosen = rng.choice(len(drawn), min(RECONSTRUCTED, len(drawn)), replace=False)
        rows.append(chosen)
        again.append(reconstructions(vae, drawn[chosen]))
        ruined.append(random_latents(vae, drawn, DECODED, rng))
        every_pair = paint.all_pairs(1)
        pairs = [every_pair[int(n)] for n in rng.choice(180, GENERATED, replace=False)]
        intact.append(paint.generate(folder, pairs, seed=SEED))
    return TrainingPictures(
        drawn, style, np.concatenate(again), np.concatenate(rows), np.concatenate(intact), np.concatenate(ruined)
    )
