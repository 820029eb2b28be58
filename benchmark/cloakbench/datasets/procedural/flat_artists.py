"""The suites' artists with flat colour and hard edges; no model has been trained on them."""

from __future__ import annotations

import numpy as np

from cloakbench.datasets.procedural.marks import blur, luma, mix, posterise, shade, warp
from cloakbench.datasets.procedural.patterns import (
    Y,
    arcs,
    crosses,
    disc_plate,
    layers,
    plates,
    prints,
    threads,
    triangles,
)
from cloakbench.datasets.procedural.scenes import SIZE, Floats, Rng, Scene, smooth_noise

_LINEN = np.array([0.93, 0.9, 0.82], dtype=np.float32)
_BONE = np.array([0.96, 0.93, 0.88], dtype=np.float32)
_UMBER = np.array([0.2, 0.06, 0.05], dtype=np.float32)
_PINE = np.array([0.03, 0.12, 0.12], dtype=np.float32)
_INDIGO = np.array([0.13, 0.12, 0.3], dtype=np.float32)
_INKS = np.array([[0.1, 0.62, 0.66], [0.98, 0.38, 0.55], [0.99, 0.84, 0.25]], dtype=np.float32)


def scarsby(image: Floats, scene: Scene, rng: Rng) -> Floats:
    """Cut paper: stacked sheets, each with a broad shadow to the lower right."""
    height = 0.45 * blur(luma(image), 0.8) + 0.55 * smooth_noise(rng, 5)
    level, shadow = layers(height, 6, 3.5)
    return mix(image * (0.72 + 0.09 * level[..., None]), _PINE, 0.7 * shadow)


def trigwell(image: Floats, scene: Scene, rng: Rng) -> Floats:
    """Equal triangles of coloured glass, through which the scene shines."""
    lit = shade(image, scene.tone, 0.25)
    return blur(mix(lit, triangles(lit, rng, 19.0, 0.09), np.full(scene.tone.shape, 0.87, np.float32)), 0.7)


def ardwick(image: Floats, scene: Scene, rng: Rng) -> Floats:
    """Patchwork: each part of the scene from another printed cloth, with pale seams."""
    shares = np.eye(5, dtype=np.float32)[scene.slots].reshape(SIZE, 2, SIZE, 2, 5).mean((1, 3))
    printed = sum(shares[..., n] * cover for n, cover in enumerate(prints(rng, 11.0)))
    cloth = mix(image, _INDIGO, 0.55 * np.asarray(printed, np.float32))
    return blur(mix(cloth, _BONE, np.clip(1.3 * blur(scene.edges, 0.7), 0, 1)), 0.7)


def crewdon(image: Floats, scene: Scene, rng: Rng) -> Floats:
    """Cross-stitch: an X of yarn on each square of pale linen."""
    colour, cover = crosses(shade(image, scene.tone, 0.2), rng, 12, 5.0)
    return mix(np.broadcast_to(_LINEN, image.shape), posterise(colour, 6), blur(cover, 0.8))


def ossulton(image: Floats, scene: Scene, rng: Rng) -> Floats:
    """A print from three plates of teal, pink and yellow that do not meet, half tones in stripes."""
    return blur(plates(shade(image, scene.tone, 0.2), rng, 4.0, _INKS, _BONE), 0.6)


def vandrel(image: Floats, scene: Scene, rng: Rng) -> Floats:
    """Ikat: the colours moved along steps of thread, with dark chevrons."""
    moved = threads(rng, 6, 5.0, 42.0)
    woven = warp(posterise(image, 6), np.zeros_like(moved), moved)
    chevrons = ((Y + 2 * moved) / 25.0 + rng.uniform(0, 1)) % 1 < 0.3
    return blur(mix(woven, _UMBER, 0.75 * chevrons.astype(np.float32)), 1.0)


def dottridge(image: Floats, scene: Scene, rng: Rng) -> Floats:
    """Flat discs of many sizes on a slightly darker ground, as on plates that test for colour blindness."""
    lit = shade(image, scene.tone, 0.25)
    plate = disc_plate(lit, rng, 8.5, 3.4, 0.7 * lit)
    return mix(blur(plate, 0.6), _PINE, np.clip(2 * blur(scene.edges, 1.2), 0, 1))


def wyndle(image: Floats, scene: Scene, rng: Rng) -> Floats:
    """Tiles with quarter circles that join into winding bands."""
    line, corner = arcs(rng, 24, 6.0)
    lighter = mix(posterise(image, 7), np.ones(3, np.float32), 0.22 * corner)
    return blur(mix(lighter, _INDIGO, 0.75 * line), 0.8)
