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
from cloakbench.models.mini.train.ruins import Picture
from cloakbench.models.mini.train.viewer_variety import BASES, Recolouring, Restyling

DRAWN, CHUNKS = 4000, 30
"""Drawn pictures at most, and chunks of the pool that are waited for."""
REFERENCES, OWN = 4, 2
"""Pictures of a group: those that stand for the artist's references, and further ones."""
RECONSTRUCTED, DECODED = 120, 96
"""Groups through each autoencoder, and pictures of random latents through each."""
REPEATED = 4
"""How often each mimic's picture stands among the others, which are many more."""
SEED = 92
Pictures = NDArray[np.uint8]
Rows = dict[int, NDArray[np.int64]]
"""Row numbers of the pictures of each style, by the style's index."""


@dataclass(frozen=True, slots=True)
class TrainingPictures:
    """What the training draws its batches from; all pictures `[n, 128, 128, 3]`."""

    drawn: Pictures
    style: NDArray[np.int64]
    """Index of the style of each drawn picture."""
    generated: Pictures
    """What base models paint in the styles that they know."""
    generated_style: NDArray[np.int64]
    """Index of the style of each generated picture."""
    groups: NDArray[np.uint8]
    """Groups `[n, REFERENCES + OWN, 128, 128, 3]` of one style each, varied; the last `OWN` after an autoencoder."""
    intact: Pictures
    """What base models and clean mimics paint."""
    ruined: Pictures
    """What mimics paint after a protection, and decoded random latents."""


def by_style(style: NDArray[np.int64]) -> Rows:
    """Returns the row numbers of the pictures of each style, of the styles' indices by row."""
    return {int(name): np.flatnonzero(style == name) for name in np.unique(style)}


def varied_group(drawn: Pictures, rows: Rows, rng: np.random.Generator) -> list[Picture]:
    """Returns `REFERENCES + OWN` pictures of one style under one random change of colours and of marks."""
    recolour, restyle = Recolouring.drawn(rng), Restyling.drawn(rng)
    names = list(rows)
    if restyle.marks is not None:
        names = [name for name in names if styles.STYLES[name].name in BASES]
    chosen = rng.choice(rows[int(rng.choice(names))], REFERENCES + OWN, replace=False)
    pictures = []
    for row in chosen:
        pictures.append(restyle(recolour(drawn[row].astype(np.float32) / 255), rng))
    return pictures


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
def reconstructed_groups(
    vae: AutoencoderKL, drawn: Pictures, rows: Rows, count: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Returns varied groups `[count, REFERENCES + OWN, 128, 128, 3]`, the last `OWN` of each after the autoencoder.

    A decoder leaves its own marks on styles that it reconstructs badly; they are neither another style nor a ruin.
    """
    groups = []
    for _ in range(count):
        group = np.rint(np.stack(varied_group(drawn, rows, rng)) * 255).astype(np.uint8)
        group[REFERENCES:] = _to_images(vae(to_pixels(group[REFERENCES:]) * 2 - 1).sample / 2 + 0.5)
        groups.append(group)
    return np.stack(groups)


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
    rows = by_style(style)
    clean, ruined = strips(mimics)
    ruined = ruined * REPEATED
    groups: list[Pictures] = []
    generated: list[Pictures] = []
    pairs = paint.all_pairs(1)
    for folder in models:
        vae = AutoencoderKL.from_pretrained(folder, subfolder="vae", torch_dtype=torch.float32).eval()
        groups.append(reconstructed_groups(vae, drawn, rows, RECONSTRUCTED, rng))
        ruined.append(random_latents(vae, drawn, DECODED, rng))
        generated.append(paint.generate(folder, pairs, seed=SEED))
    generated_style = np.tile(np.array(pairs)[:, 0], len(models))
    intact = np.concatenate([*generated, *clean * REPEATED])
    return TrainingPictures(
        drawn,
        style,
        np.concatenate(generated),
        generated_style,
        np.concatenate(groups),
        intact,
        np.concatenate(ruined),
    )
