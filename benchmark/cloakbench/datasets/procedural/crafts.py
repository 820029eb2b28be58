"""Training styles that are coarse and flat: print, tile, screen and plan."""

from __future__ import annotations

import numpy as np

from cloakbench.datasets.procedural.marks import blur, grain, luma, mix, posterise, ramp, shade, tiles, waves
from cloakbench.datasets.procedural.scenes import Floats, Rng, Scene, smooth_noise

_BLACK = np.array([0.06, 0.05, 0.08], dtype=np.float32)
_WHITE = np.array([0.93, 0.96, 1.0], dtype=np.float32)


def poster(image: Floats, scene: Scene, _rng: Rng) -> Floats:
    """Flat colour inside thick black outlines."""
    return mix(image, _BLACK, np.clip(2.2 * blur(scene.edges, 1.0), 0, 1))


def mosaic(image: Floats, scene: Scene, rng: Rng) -> Floats:
    """Square stones with pale grout."""
    stones, depth = tiles(shade(image, scene.tone, 0.3), rng, 8.0, 0.06, 0.05)
    return mix(np.broadcast_to(_WHITE * 0.85, image.shape), stones, np.clip(depth - 0.2, 0, 1))


def neon(image: Floats, scene: Scene, _rng: Rng) -> Floats:
    """Glowing outlines on a dark ground."""
    glow = np.clip(blur(scene.edges, 0.8) * 1.6, 0, 1) + 0.8 * np.clip(blur(scene.edges, 4.0) * 2, 0, 1)
    bright = image / (image.max(-1, keepdims=True) + 1e-3)
    return np.asarray(np.clip(0.35 * image + blur(bright, 2.0) * glow[..., None], 0, 1))


def duotone(image: Floats, scene: Scene, rng: Rng) -> Floats:
    """Tone mapped onto two strong colours."""
    span, base = np.array([[0.35], [0.3]], np.float32), np.array([[0.0], [0.7]], np.float32)
    stops = rng.random((2, 3)).astype(np.float32) * span + base
    return ramp(np.clip(luma(shade(image, scene.tone, 0.8)) * 1.1, 0, 1), stops)


def pixel(image: Floats, scene: Scene, _rng: Rng) -> Floats:
    """Blocks of eight pixels, few colours."""
    side = image.shape[0] // 8
    small = shade(image, scene.tone, 0.3).reshape(side, 8, side, 8, 3).mean((1, 3))
    return posterise(np.repeat(np.repeat(small, 8, 0), 8, 1).astype(np.float32), 5)


def contour(image: Floats, scene: Scene, rng: Rng) -> Floats:
    """Map-like bands of height with thin lines between them."""
    height = blur(luma(image), 2.5) + 0.25 * smooth_noise(rng, 3)
    bands = (height * 9) % 1.0
    line = np.clip(1 - np.minimum(bands, 1 - bands) / 0.14, 0, 1)
    return mix(blur(shade(image, scene.tone, 0.2), 1.5), _BLACK, 0.7 * line.astype(np.float32))


def gouache(image: Floats, scene: Scene, rng: Rng) -> Floats:
    """Opaque matt paint, slightly uneven."""
    uneven = blur(posterise(shade(image, scene.tone, 0.35), 7), 0.7)
    return np.asarray(np.clip(uneven + grain(rng, 2.0, 0.02)[..., None], 0, 1))


def blueprint(image: Floats, scene: Scene, _rng: Rng) -> Floats:
    """White lines and a fine grid on blue."""
    grid = np.maximum(waves(0.0, 16.0), waves(np.pi / 2, 16.0))
    flat = np.broadcast_to(np.array([0.12, 0.28, 0.62], np.float32), image.shape) * (0.8 + 0.4 * luma(image)[..., None])
    marked = mix(flat, _WHITE, 0.35 * np.clip((grid - 0.96) * 25, 0, 1).astype(np.float32))
    return mix(marked, _WHITE, np.clip(1.6 * blur(scene.edges, 0.6), 0, 1))
