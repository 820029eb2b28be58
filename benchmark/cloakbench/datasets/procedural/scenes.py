"""Seeded scenes: a subject with its surroundings, as a map of colour slots that a style then renders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

SIZE = 128
_SUPER = 2
FAR, NEAR, MAIN, SECOND, ACCENT = range(5)
"""Colour slots: background above the horizon, background below it, the subject's body, its second part, accents."""

Points = list[tuple[float, float]]
Floats = NDArray[np.float32]
Rng = np.random.Generator


@dataclass(frozen=True, slots=True)
class Scene:
    """One composition at 128 x 128: `slots` at double resolution, `tone` (light) and `edges`, both in [0, 1]."""

    slots: NDArray[np.uint8]
    tone: Floats
    edges: Floats


@dataclass(frozen=True, slots=True)
class Framing:
    """Ranges of a subject's scale (1 nearly fills the picture) and of its centre, as shares of the sides."""

    scale: tuple[float, float]
    across: tuple[float, float]
    down: tuple[float, float]


WIDE = Framing((0.62, 1.08), (0.38, 0.62), (0.42, 0.6))
"""How the frozen pictures are framed."""
CLOSE = Framing((0.85, 1.1), (0.44, 0.56), (0.46, 0.55))
"""The subject fills the picture, so that it can be told apart after 8 times smaller sides."""


class _Canvas:
    """Draws in coordinates of the unit square, moved and scaled around the subject's centre."""

    def __init__(self, rng: np.random.Generator, framing: Framing) -> None:
        self.rng = rng
        self.image = Image.new("L", (SIZE * _SUPER, SIZE * _SUPER), FAR)
        self._draw = ImageDraw.Draw(self.image)
        self.scale = rng.uniform(*framing.scale)
        self.flip = bool(rng.random() < 0.5)
        self.centre = (rng.uniform(*framing.across), rng.uniform(*framing.down))

    def _pixel(self, x: float, y: float) -> tuple[float, float]:
        x = -x if self.flip else x
        side = SIZE * _SUPER
        return (self.centre[0] + self.scale * x) * side, (self.centre[1] + self.scale * y) * side

    def polygon(self, points: Points, slot: int) -> None:
        self._draw.polygon([self._pixel(x, y) for x, y in points], fill=slot)

    def ellipse(self, x: float, y: float, rx: float, ry: float, slot: int) -> None:
        (x0, y0), (x1, y1) = self._pixel(x - rx, y - ry), self._pixel(x + rx, y + ry)
        self._draw.ellipse((min(x0, x1), y0, max(x0, x1), y1), fill=slot)

    def line(self, points: Points, width: float, slot: int) -> None:
        pixels = max(1, round(width * self.scale * SIZE * _SUPER))
        self._draw.line([self._pixel(x, y) for x, y in points], fill=slot, width=pixels, joint="curve")

    def ground(self, height: float, slot: int) -> None:
        """Fills everything under a wavy horizon at `height` (absolute, 0 is the top)."""
        side = SIZE * _SUPER
        xs = np.linspace(0, side, 17)
        phase, swing = self.rng.uniform(0, 6.3), self.rng.uniform(0.0, 0.05)
        ys = (height + swing * np.sin(xs / side * self.rng.uniform(3, 9) + phase)) * side
        line = list(zip(xs.tolist(), ys.tolist(), strict=True))
        self._draw.polygon([*line, (side, side), (0, side)], fill=slot)

    def disc(self, x: float, y: float, radius: float, slot: int) -> None:
        side = SIZE * _SUPER
        self._draw.ellipse(
            ((x - radius) * side, (y - radius) * side, (x + radius) * side, (y + radius) * side), fill=slot
        )


def _boat(c: _Canvas) -> None:
    mast = c.rng.uniform(-0.06, 0.08)
    c.polygon([(-0.36, 0.12), (0.36, 0.12), (0.22, 0.3), (-0.24, 0.3)], MAIN)
    c.line([(mast, 0.12), (mast, -0.38)], 0.025, SECOND)
    c.polygon([(mast + 0.02, -0.36), (mast + 0.3, 0.06), (mast + 0.02, 0.06)], ACCENT)
    c.polygon([(mast - 0.02, -0.28), (mast - 0.22, 0.06), (mast - 0.02, 0.06)], SECOND)


def _house(c: _Canvas) -> None:
    roof = c.rng.uniform(-0.42, -0.28)
    c.polygon([(-0.28, -0.06), (0.28, -0.06), (0.28, 0.32), (-0.28, 0.32)], MAIN)
    c.polygon([(-0.36, -0.06), (0.0, roof), (0.36, -0.06)], SECOND)
    c.polygon([(-0.07, 0.1), (0.07, 0.1), (0.07, 0.32), (-0.07, 0.32)], ACCENT)
    for x in (-0.18, 0.18):
        c.polygon([(x - 0.05, 0.02), (x + 0.05, 0.02), (x + 0.05, 0.12), (x - 0.05, 0.12)], ACCENT)


def _tree(c: _Canvas) -> None:
    c.polygon([(-0.05, 0.36), (-0.03, -0.05), (0.03, -0.05), (0.06, 0.36)], SECOND)
    for _ in range(int(c.rng.integers(5, 9))):
        x, y = c.rng.uniform(-0.2, 0.2), c.rng.uniform(-0.34, -0.02)
        c.ellipse(x, y, c.rng.uniform(0.1, 0.19), c.rng.uniform(0.09, 0.16), MAIN)
    for _ in range(4):
        c.ellipse(c.rng.uniform(-0.2, 0.2), c.rng.uniform(-0.3, 0.0), 0.03, 0.03, ACCENT)


def _mountain(c: _Canvas) -> None:
    peak, other = c.rng.uniform(-0.42, -0.26), c.rng.uniform(-0.2, -0.05)
    c.polygon([(-0.1, 0.34), (0.3, other), (0.62, 0.34)], SECOND)
    c.polygon([(-0.55, 0.34), (-0.08, peak), (0.36, 0.34)], MAIN)
    cap = peak + 0.18
    c.polygon([(-0.08, peak), (0.05, cap), (-0.04, cap - 0.04), (-0.11, cap + 0.03), (-0.2, cap)], ACCENT)


def _fish(c: _Canvas) -> None:
    fat = c.rng.uniform(0.13, 0.22)
    c.polygon([(0.2, 0.0), (0.42, -0.18), (0.36, 0.0), (0.42, 0.18)], SECOND)
    c.ellipse(-0.05, 0.0, 0.32, fat, MAIN)
    c.polygon([(-0.08, -fat), (0.1, -fat - 0.12), (0.14, -fat + 0.04)], SECOND)
    for x in (-0.02, 0.08):
        c.line([(x, -fat * 0.7), (x + 0.03, 0.0), (x, fat * 0.7)], 0.025, ACCENT)
    c.ellipse(-0.24, -0.04, 0.035, 0.035, ACCENT)


def _flower(c: _Canvas) -> None:
    petals, radius = int(c.rng.integers(5, 9)), c.rng.uniform(0.15, 0.2)
    c.line([(0.0, 0.0), (0.03, 0.2), (-0.01, 0.42)], 0.035, SECOND)
    c.ellipse(0.12, 0.27, 0.11, 0.045, SECOND)
    for k in range(petals):
        angle = 2 * np.pi * k / petals
        c.ellipse(radius * np.cos(angle), -0.12 + radius * np.sin(angle), 0.1, 0.1, MAIN)
    c.ellipse(0.0, -0.12, 0.09, 0.09, ACCENT)


def _bird(c: _Canvas) -> None:
    lift = c.rng.uniform(-0.38, -0.2)
    c.polygon([(0.2, 0.05), (0.46, -0.04), (0.44, 0.12)], SECOND)
    c.ellipse(0.02, 0.06, 0.27, 0.14, MAIN)
    c.ellipse(-0.24, -0.06, 0.11, 0.1, MAIN)
    c.polygon([(-0.34, -0.07), (-0.46, -0.02), (-0.33, 0.0)], ACCENT)
    c.polygon([(-0.1, 0.02), (0.16, lift), (0.22, 0.04)], SECOND)
    c.ellipse(-0.27, -0.08, 0.025, 0.025, ACCENT)


def _face(c: _Canvas) -> None:
    wide = c.rng.uniform(0.22, 0.28)
    c.ellipse(0.0, -0.08, wide + 0.07, 0.34, SECOND)
    c.ellipse(0.0, 0.02, wide, 0.31, MAIN)
    for x in (-0.1, 0.1):
        c.ellipse(x, -0.04, 0.045, 0.03, ACCENT)
    c.polygon([(0.0, -0.02), (0.05, 0.11), (-0.03, 0.11)], SECOND)
    c.ellipse(0.0, 0.19, 0.09, c.rng.uniform(0.015, 0.04), ACCENT)


def _vase(c: _Canvas) -> None:
    belly = c.rng.uniform(0.17, 0.26)
    c.ellipse(0.0, 0.12, belly, 0.22, MAIN)
    c.polygon([(-0.08, -0.28), (0.08, -0.28), (0.1, 0.0), (-0.1, 0.0)], MAIN)
    c.ellipse(0.0, -0.28, 0.12, 0.035, SECOND)
    c.polygon([(-belly, 0.08), (belly, 0.08), (belly, 0.15), (-belly, 0.15)], ACCENT)
    c.polygon([(-0.12, 0.3), (0.12, 0.3), (0.15, 0.36), (-0.15, 0.36)], SECOND)


def _castle(c: _Canvas) -> None:
    for x, top in ((-0.26, c.rng.uniform(-0.34, -0.2)), (0.26, c.rng.uniform(-0.34, -0.2))):
        c.polygon([(x - 0.1, top), (x + 0.1, top), (x + 0.1, 0.34), (x - 0.1, 0.34)], MAIN)
        c.polygon([(x - 0.13, top), (x, top - 0.16), (x + 0.13, top)], SECOND)
        c.ellipse(x, top + 0.12, 0.03, 0.05, ACCENT)
    c.polygon([(-0.18, -0.04), (0.18, -0.04), (0.18, 0.34), (-0.18, 0.34)], MAIN)
    c.ellipse(0.0, 0.28, 0.08, 0.14, ACCENT)


SUBJECTS: dict[str, Callable[[_Canvas], None]] = {
    "boat": _boat,
    "house": _house,
    "tree": _tree,
    "mountain": _mountain,
    "fish": _fish,
    "flower": _flower,
    "bird": _bird,
    "face": _face,
    "vase": _vase,
    "castle": _castle,
}
"""Every subject by the word that captions use for it."""


def smooth_noise(rng: np.random.Generator, cells: int, size: int = SIZE) -> Floats:
    """A smooth random field in [0, 1], shape `[size, size]`, with about `cells` bumps along a side."""
    coarse = rng.random((cells + 3, cells + 3)).astype(np.float32)
    field = ndimage.zoom(coarse, (size + 1) / cells, order=3)[:size, :size]
    low, high = float(field.min()), float(field.max())
    return ((field - low) / (high - low)).astype(np.float32)


def compose(subject: str, rng: np.random.Generator, framing: Framing = WIDE) -> Scene:
    """Returns a scene of `subject` with a random viewpoint, horizon, sky and light."""
    canvas = _Canvas(rng, framing)
    if rng.random() < 0.55:
        canvas.disc(rng.uniform(0.1, 0.9), rng.uniform(0.08, 0.3), rng.uniform(0.05, 0.12), ACCENT)
    if rng.random() < 0.6:
        canvas.ground(rng.uniform(0.45, 0.62), SECOND if rng.random() < 0.5 else NEAR)
    canvas.ground(rng.uniform(0.58, 0.82), NEAR)
    SUBJECTS[subject](canvas)
    slots = np.asarray(canvas.image, dtype=np.uint8)
    grown = ndimage.maximum_filter(slots, 3) != ndimage.minimum_filter(slots, 3)
    edges = grown.reshape(SIZE, _SUPER, SIZE, _SUPER).mean((1, 3)).astype(np.float32)
    return Scene(slots, _light(slots, rng), edges)


def _light(slots: NDArray[np.uint8], rng: np.random.Generator) -> Floats:
    """Light from one side, different on every slot, with soft clouds in it."""
    grid = np.linspace(-1, 1, SIZE, dtype=np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    ramp = np.cos(angle) * grid[None, :] + np.sin(angle) * grid[:, None]
    turn = rng.uniform(-1, 1, 5).astype(np.float32)
    per_slot = turn[slots[::_SUPER, ::_SUPER]]
    tone = 0.5 + 0.22 * ramp * np.where(per_slot > 0, 1, -1) + 0.12 * per_slot + 0.3 * (smooth_noise(rng, 4) - 0.5)
    return np.asarray(np.clip(tone, 0, 1), np.float32)


def colour_slots(scene: Scene, palette: Floats) -> Floats:
    """Returns the scene flat-coloured: `palette` `[5, 3]` in [0, 1] gives an antialiased image `[128, 128, 3]`."""
    image = palette[scene.slots].reshape(SIZE, _SUPER, SIZE, _SUPER, 3)
    return np.asarray(image.mean((1, 3)), np.float32)
