"""Training styles with continuous tone or texture: drawing and painting on paper, canvas and cloth."""

from __future__ import annotations

import numpy as np

from cloakbench.datasets.procedural.marks import (
    blur,
    grain,
    ink,
    luma,
    mix,
    noise_field,
    shade,
    smear,
    strokes,
    tiles,
    waves,
)
from cloakbench.datasets.procedural.scenes import Floats, Rng, Scene, smooth_noise

_PAPER = np.array([0.95, 0.91, 0.82], dtype=np.float32)
_INK = np.array([0.22, 0.15, 0.1], dtype=np.float32)


def engraving(image: Floats, scene: Scene, rng: Rng) -> Floats:
    """Parallel bent lines that widen with darkness, brown on paper."""
    dark = 1 - luma(shade(image, scene.tone, 0.7))
    lines = waves(rng.uniform(0, np.pi), rng.uniform(4.5, 6), bend=6 * smooth_noise(rng, 3))
    paper = np.broadcast_to(_PAPER, image.shape)
    return mix(mix(paper, _INK, ink(lines, dark, 0.3)), _INK, 0.7 * scene.edges)


def watercolour(image: Floats, scene: Scene, rng: Rng) -> Floats:
    """Pale washes that run into each other, darker at the rims."""
    wash = shade(blur(image, 1.6), smooth_noise(rng, 6), 0.3)
    rim = np.clip(blur(scene.edges, 1.2), 0, 1)
    return np.clip(wash * (1 - 0.35 * rim[..., None]) + grain(rng, 0.8, 0.02)[..., None], 0, 1)


def pointillism(image: Floats, scene: Scene, rng: Rng) -> Floats:
    """Round dabs of broken colour on a light ground."""
    dabs, depth = tiles(shade(image, scene.tone, 0.5), rng, rng.uniform(4.5, 6), 0.35, 0.1)
    return mix(np.broadcast_to(_PAPER, image.shape), dabs, np.clip(depth / 1.2, 0, 1))


def charcoal(image: Floats, scene: Scene, rng: Rng) -> Floats:
    """Smeared greys with a coarse grain and heavy outlines."""
    grey = luma(shade(image, scene.tone, 0.9))
    grey = smear(grey[..., None], noise_field(rng, 2, 0.6), 4)[..., 0] + grain(rng, 1.0, 0.05)
    grey = grey - 0.6 * blur(scene.edges, 1.0)
    return np.clip(np.repeat(grey[..., None], 3, -1), 0, 1)


def pastel(image: Floats, scene: Scene, rng: Rng) -> Floats:
    """Soft chalk dragged along one diagonal."""
    soft = blur(shade(image, scene.tone, 0.4), 1.0)
    return strokes(soft, np.full(scene.tone.shape, rng.uniform(0.5, 1.1), np.float32), rng, 5, 0.05)


def woodcut(image: Floats, scene: Scene, rng: Rng) -> Floats:
    """Black gouges that follow the light, two colours only."""
    dark = 1 - luma(shade(image, scene.tone, 0.8))
    lines = waves(rng.uniform(0, np.pi), rng.uniform(7, 9), bend=18 * scene.tone)
    cut = ink(lines, np.clip(1.4 * dark - 0.2, 0, 1), 0.2)
    return mix(mix(np.broadcast_to(_PAPER, image.shape), _INK * 0.5, cut), _INK * 0.5, scene.edges)


def oil(image: Floats, scene: Scene, rng: Rng) -> Floats:
    """Rich colour in long strokes along a slowly turning direction."""
    return strokes(shade(image, scene.tone, 0.7), noise_field(rng, 3, 3.0), rng, 6, 0.06)


def tapestry(image: Floats, scene: Scene, rng: Rng) -> Floats:
    """Threads over and under in both directions."""
    over = waves(0.0, 5.0) * waves(np.pi / 2, 5.0) + (1 - waves(0.0, 5.0)) * (1 - waves(np.pi / 2, 5.0))
    coarse = blur(shade(image, scene.tone, 0.4), 1.5)
    return np.clip(coarse * (0.72 + 0.45 * over[..., None]) + grain(rng, 0.6, 0.02)[..., None], 0, 1)


def fauve(image: Floats, scene: Scene, rng: Rng) -> Floats:
    """Unmixed colour in short broad dabs with light between them."""
    dabs, depth = tiles(shade(image, scene.tone, 0.4), rng, rng.uniform(8, 10), 0.45, 0.12)
    painted = smear(dabs, noise_field(rng, 3, 4.0), 4)
    return shade(painted, np.clip(depth / 4, 0, 1), 0.15)


def sepia(image: Floats, scene: Scene, rng: Rng) -> Floats:
    """A faded brown photograph: soft focus, vignette, fine grain."""
    grey = luma(blur(shade(image, scene.tone, 0.9), 0.8)) + grain(rng, 0.9, 0.02)
    vignette = np.hypot(*np.meshgrid(np.linspace(-1, 1, 128), np.linspace(-1, 1, 128)))
    grey = np.clip(grey * (1.1 - 0.4 * vignette**2), 0, 1).astype(np.float32)
    return mix(np.broadcast_to(_INK, image.shape), _PAPER, grey)
