"""Development styles, which no diffusion model has been trained on; the last eight were a suite's artists once."""

from __future__ import annotations

import numpy as np

from cloakbench.datasets.procedural.marks import (
    blur,
    dots,
    grain,
    ink,
    luma,
    mix,
    noise_field,
    posterise,
    radius,
    ramp,
    shade,
    smear,
    strokes,
    swirl_field,
    tiles,
    warp,
    waves,
)
from cloakbench.datasets.procedural.scenes import Floats, Rng, Scene, smooth_noise

_CREAM = np.array([0.97, 0.94, 0.86], dtype=np.float32)
_LEAD = np.array([0.07, 0.06, 0.08], dtype=np.float32)


def swirl(image: Floats, scene: Scene, rng: Rng) -> Floats:
    """Strokes that circle around a few points."""
    return strokes(shade(image, scene.tone, 0.5), swirl_field(rng, 5), rng, 7, 0.09)


def crosshatch(image: Floats, scene: Scene, rng: Rng) -> Floats:
    """Two layers of blue pen lines, the second only in the dark."""
    dark = 1 - luma(shade(image, scene.tone, 0.8))
    pen = np.array([0.1, 0.15, 0.42], dtype=np.float32)
    first = ink(waves(rng.uniform(0.6, 0.9), 6.0, bend=2 * smooth_noise(rng, 4)), 0.2 + 0.7 * dark, 0.3)
    second = ink(waves(rng.uniform(2.2, 2.5), 6.0, bend=2 * smooth_noise(rng, 4)), 1.3 * dark - 0.3, 0.3)
    tinted = 0.5 * image + 0.5 * _CREAM
    return mix(mix(tinted, pen, 0.75 * first), pen, np.maximum(0.75 * second, 0.8 * scene.edges))


def stained_glass(image: Floats, scene: Scene, rng: Rng) -> Floats:
    """Irregular panes with light from behind, set in lead."""
    panes, depth = tiles(image, rng, 15.0, 0.4, 0.09)
    lit = shade(panes, np.clip(depth / 7, 0, 1), 0.35)
    return mix(lit, _LEAD, np.maximum(np.clip(1.8 - depth, 0, 1), np.clip(2 * blur(scene.edges, 0.8), 0, 1)))


def stencil(image: Floats, scene: Scene, rng: Rng) -> Floats:
    """Three flat tones with sprayed, speckled rims."""
    tone = luma(shade(image, scene.tone, 0.6)) + grain(rng, 1.0, 0.05)
    stops = np.array([[0.16, 0.12, 0.1], [0.8, 0.35, 0.2], [0.95, 0.85, 0.7]], dtype=np.float32)
    return ramp(posterise(np.clip(blur(tone, 0.8), 0, 1), 3), stops)


def vellmar(image: Floats, scene: Scene, rng: Rng) -> Floats:
    """Night pieces: thick strokes that wind around lights, with bright rings."""
    field = swirl_field(rng, 3)
    painted = strokes(shade(image, scene.tone, 0.6), field, rng, 8, 0.07)
    rings = 0.5 + 0.5 * np.sin(radius(rng) / 3.2)
    return mix(painted, np.array([0.98, 0.9, 0.5], np.float32), (0.28 * np.clip(rings - 0.55, 0, 1)).astype(np.float32))


def ostrava(image: Floats, scene: Scene, rng: Rng) -> Floats:
    """Palette-knife patches, each dragged its own way."""
    patches, depth = tiles(shade(image, scene.tone, 0.6), rng, 11.0, 0.48, 0.08)
    dragged = smear(patches, noise_field(rng, 5, 6.0), 5)
    lit = shade(dragged, np.clip(depth / 5, 0, 1), 0.25)
    return np.asarray(np.clip(lit + grain(rng, 0.9, 0.03)[..., None], 0, 1))


def kirin(image: Floats, scene: Scene, rng: Rng) -> Floats:
    """Marbled paper: the scene drawn out into combed waves."""
    sway = 5 * np.sin(radius(rng) / 7 + 5 * smooth_noise(rng, 3))
    pulled = warp(shade(image, scene.tone, 0.5), sway.astype(np.float32), np.roll(sway, 9, 0).astype(np.float32))
    veins = waves(rng.uniform(0, np.pi), 13.0, bend=26 * smooth_noise(rng, 4))
    return mix(pulled, _CREAM, 0.55 * np.clip((veins - 0.72) * 5, 0, 1).astype(np.float32))


def dunmore(image: Floats, scene: Scene, rng: Rng) -> Floats:
    """Rain on glass: vertical runs of colour with a soft glow."""
    run = smear(shade(image, scene.tone, 0.5), np.full(scene.tone.shape, np.pi / 2, np.float32), 8)
    streaks = smear(grain(rng, 0.9, 1.0)[..., None], np.full(scene.tone.shape, np.pi / 2, np.float32), 9)[..., 0]
    relief = (streaks - streaks.mean()) / streaks.std()
    return np.asarray(np.clip(0.55 * run + 0.45 * blur(image, 1.0) + 0.07 * relief[..., None], 0, 1))


def halloran(image: Floats, scene: Scene, rng: Rng) -> Floats:
    """Fan-shaped scales of colour, light at the upper rim of each."""
    soft = blur(shade(image, scene.tone, 0.5), 1.2)
    bend = 3 * np.abs(np.sin(np.arange(128, dtype=np.float32) * np.pi / 12.0))[None, :].repeat(128, 0)
    scales = waves(np.pi / 2, 9.0, rng.uniform(0, 6.3), bend=bend)
    return np.clip(soft * (0.78 + 0.36 * scales[..., None]) + grain(rng, 0.8, 0.02)[..., None], 0, 1)


def brix(image: Floats, scene: Scene, rng: Rng) -> Floats:
    """Courses of bricks: long flat blocks, mortar lines, no outlines."""
    flat = posterise(shade(image, scene.tone, 0.3), 6)
    rows = np.arange(128) // 9
    offset = np.where(rows % 2 == 0, 0, 9)
    column = (np.arange(128)[None, :] + offset[:, None]) // 18
    lines = (np.arange(128) % 9 == 0)[:, None] | ((np.arange(128)[None, :] + offset[:, None]) % 18 == 0)
    mortar = lines.astype(np.float32)
    tint = rng.normal(0, 0.07, (20, 12)).astype(np.float32)[rows[:, None].clip(0, 19), column.clip(0, 11)]
    return mix(np.clip(blur(flat, 1.2) + tint[..., None], 0, 1), _CREAM, 0.8 * blur(mortar, 0.5))


def tamsin(image: Floats, scene: Scene, rng: Rng) -> Floats:
    """Comic print: flat colour, large dots in the shade, thin outlines."""
    dark = np.clip(1.1 - 1.6 * scene.tone, 0, 0.8).astype(np.float32)
    screen = dots(9.0, rng.uniform(0.3, 0.5), dark)
    return mix(mix(image, image * 0.45, screen), _LEAD, np.clip(1.3 * blur(scene.edges, 0.7), 0, 1))


def quill(image: Floats, scene: Scene, rng: Rng) -> Floats:
    """Scratchboard: light lines cut along the form out of black."""
    bright = luma(shade(image, scene.tone, 0.8))
    cut = ink(waves(rng.uniform(0, np.pi), 7.0, bend=22 * blur(bright, 3.0)), np.clip(0.25 + 0.8 * bright, 0, 0.9), 0.3)
    vivid = np.clip(image / (image.max(-1, keepdims=True) + 0.05), 0, 1)
    return mix(mix(np.broadcast_to(_LEAD, image.shape), vivid, 0.9 * cut), _CREAM, 0.7 * scene.edges)
