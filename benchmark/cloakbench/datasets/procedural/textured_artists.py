"""The suites' artists with continuous tone or texture; no model has been trained on them."""

from __future__ import annotations

import numpy as np

from cloakbench.datasets.procedural.marks import blur, grain, luma, mix, noise_field, shade, smear
from cloakbench.datasets.procedural.patterns import (
    beads,
    beams,
    blots,
    creases,
    emboss,
    leaves,
    ripples,
    stitches,
)
from cloakbench.datasets.procedural.scenes import Floats, Rng, Scene, smooth_noise

_PLUM = np.array([0.16, 0.08, 0.18], dtype=np.float32)
_SAFFRON = np.array([1.0, 0.86, 0.42], dtype=np.float32)
_MINT = np.array([0.86, 0.99, 0.93], dtype=np.float32)
_BOTTLE = np.array([0.03, 0.2, 0.17], dtype=np.float32)
_CHALK = np.array([0.94, 0.92, 0.84], dtype=np.float32)
_SLATE = np.array([0.12, 0.15, 0.21], dtype=np.float32)
_VERDIGRIS = np.array([0.44, 0.7, 0.64], dtype=np.float32)


def pellam(image: Floats, scene: Scene, rng: Rng) -> Floats:
    """Glass beads in a honeycomb, lit from the upper left, on a dark ground."""
    lit = shade(image, scene.tone, 0.45)
    return blur(beads(lit, rng, 14.0, mix(0.6 * lit, _PLUM, np.full(scene.tone.shape, 0.4, np.float32))), 0.6)


def oakshaw(image: Floats, scene: Scene, rng: Rng) -> Floats:
    """Knitting: columns of V-shaped stitches, each of one colour."""
    lit = shade(image, scene.tone, 0.35)
    knitted = blur(stitches(lit, rng, 14.0, 11.0), 1.0)
    return mix(lit, knitted, np.full(scene.tone.shape, 0.8, np.float32))


def fenwarre(image: Floats, scene: Scene, rng: Rng) -> Floats:
    """Crumpled paper: large sloping facets with bright folds, and smaller ones in them."""
    soft = blur(shade(image, scene.tone, 0.3), 0.7)
    light = blur(creases(rng, 27.0) + 0.4 * creases(rng, 15.0), 0.5)
    folded = shade(soft, 0.5 + 0.5 * light, 0.42) + grain(rng, 1.2, 0.035)[..., None]
    return np.asarray(np.clip(folded, 0, 1), np.float32)


def solvane(image: Floats, scene: Scene, rng: Rng) -> Floats:
    """Light that fans out from a point: the colours drawn along the beams."""
    angle, light = beams(rng, 12, 8)
    drawn = smear(shade(image, scene.tone, 0.5), angle, 4)
    return mix(shade(drawn, 0.5 + 0.5 * light, 0.38), _SAFFRON, np.clip(0.28 * light, 0, 1))


def merrowby(image: Floats, scene: Scene, rng: Rng) -> Floats:
    """The scene mirrored in water, with pale and dark lens-shaped ripples."""
    mirrored, light, dark = ripples(shade(image, scene.tone, 0.4), rng, 12.0, 2.0)
    return mix(mix(mirrored, _MINT, 0.6 * light), _BOTTLE, 0.55 * dark)


def spargrove(image: Floats, scene: Scene, rng: Rng) -> Floats:
    """Paint dabbed with a sponge: chalky blots over the colours, and fewer dark ones."""
    matt = shade(image, scene.tone, 0.4)
    return mix(mix(matt, _SLATE, 0.7 * blur(blots(rng, 4.2, 0.8), 0.8)), _CHALK, 0.7 * blur(blots(rng, 3.1, 0.5), 0.8))


def hewarth(image: Floats, scene: Scene, rng: Rng) -> Floats:
    """A relief in hammered copper: the outlines embossed, the colours faint under the patina."""
    height = blur(luma(image), 0.8) + blur(scene.edges, 1.2) * 0.4
    hammered = emboss(height + grain(rng, 2.2, 0.09), rng.uniform(0.7, 0.9), 1.3)
    patina = mix(image, _VERDIGRIS, np.clip(0.45 + 0.5 * smooth_noise(rng, 7), 0, 1))
    return np.asarray(np.clip(patina * (0.8 + 0.85 * hammered[..., None]), 0, 1), np.float32)


def lindrick(image: Floats, scene: Scene, rng: Rng) -> Floats:
    """Some large leaves in the scene's colours on its pale, outlined picture, one half of each in the shade."""
    paper = mix(image, _CHALK, np.full(scene.tone.shape, 0.9, np.float32))
    laid = leaves(shade(image, scene.tone, 0.2), rng, 14.0, 60, noise_field(rng, 3, 7.0), paper)
    return mix(blur(laid, 0.6), _PLUM, np.clip(2 * blur(scene.edges, 0.9), 0, 1))
