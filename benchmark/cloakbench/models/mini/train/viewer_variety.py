"""Other styles made of drawn pictures: other colours and other marks, the same for all pictures of a group."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cloakbench.models.mini.train.ruins import SIDE, Picture, Rng, clipped

Marks = Callable[[Picture, float, Rng], Picture]
"""Makes other marks of a picture's own; the number in [0, 1] is the style's, the random numbers are the picture's."""
BASES = ("poster", "duotone", "gouache", "contour", "watercolour", "sepia")
"""Styles whose pictures are smooth enough to bear other marks without breaking."""
RESTYLED = 0.6
"""How often a group gets other marks."""


@dataclass(frozen=True, slots=True)
class Recolouring:
    """A change of colours that makes another style of a style: channels mixed, contrast, brightness."""

    matrix: NDArray[np.float32]
    offset: NDArray[np.float32]

    @classmethod
    def drawn(cls, rng: Rng) -> Recolouring:
        """Returns a random change, in one of three cases none."""
        if rng.random() < 1 / 3:
            return cls(np.eye(3, dtype=np.float32), np.zeros(3, np.float32))
        matrix = np.eye(3)[rng.permutation(3)] if rng.random() < 0.7 else np.eye(3)
        matrix = matrix + rng.normal(0, 0.1, (3, 3))
        saturation = rng.uniform(0.3, 1.3)
        matrix = saturation * matrix + (1 - saturation) / 3
        matrix = matrix * rng.uniform(0.7, 1.2)
        if rng.random() < 0.15:
            matrix = -matrix
        offset = 0.5 - matrix @ np.full(3, 0.5) + rng.uniform(-0.12, 0.12, 3)
        return cls(matrix.astype(np.float32), offset.astype(np.float32))

    def __call__(self, picture: Picture) -> Picture:
        """Returns the picture in the other colours."""
        return clipped(picture @ self.matrix.T + self.offset)


def with_colours_of(picture: Picture, other: Picture) -> Picture:
    """Returns the picture with mean and deviation of each channel of another (Reinhard et al. 2001, in RGB)."""
    mean, deviation = picture.mean((0, 1)), picture.std((0, 1))
    return clipped((picture - mean) / (deviation + 0.02) * other.std((0, 1)) + other.mean((0, 1)))


def _luma(picture: Picture) -> Picture:
    """Returns brightness `[H, W, 1]`, stretched to [0, 1]."""
    grey = picture.mean(-1, keepdims=True)
    return np.asarray((grey - grey.min()) / (grey.max() - grey.min() + 1e-3), np.float32)


def cells(picture: Picture, value: float, rng: Rng) -> Picture:
    """Flat cells around random points, with dark rims in half of the styles."""
    points = rng.integers(0, SIDE, (int(60 + 160 * value), 2))
    seeds = np.ones((SIDE, SIDE), bool)
    seeds[points[:, 0], points[:, 1]] = False
    _, near = ndimage.distance_transform_edt(seeds, return_indices=True)
    flat = ndimage.gaussian_filter(picture, (2, 2, 0))[near[0], near[1]]
    if value < 0.5:
        return clipped(flat)
    rims = ndimage.gaussian_gradient_magnitude((near[0] * SIDE + near[1]).astype(np.float32), 0.6) > 1
    return np.where(rims[..., None], 0.1, flat).astype(np.float32)


def lines(picture: Picture, value: float, rng: Rng) -> Picture:
    """Lines of ink whose width follows the brightness, on paper or out of black."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    angle = value * 2 * np.pi + rng.normal(0, 0.15)
    bend = 6 * ndimage.gaussian_filter(_luma(picture)[..., 0], 3)
    wave = np.sin((np.cos(angle) * rows + np.sin(angle) * columns) * 2 * np.pi / (4 + 5 * value) + bend)
    share = 1 / (1 + np.exp(-6 * (wave - 2.4 * (_luma(picture)[..., 0] - 0.5))))
    ink = np.array([0.1, 0.1, 0.15]) if value < 0.5 else np.array([0.95, 0.93, 0.85])
    return clipped(picture * (1 - 0.8 * share[..., None]) + 0.8 * share[..., None] * ink)


def contours(picture: Picture, value: float, _rng: Rng) -> Picture:
    """Outlines alone or over the picture."""
    edges = ndimage.gaussian_gradient_magnitude(_luma(picture)[..., 0], 0.8 + value)
    share = np.clip(edges / (edges.max() + 1e-6) * 3, 0, 1)[..., None]
    ground = np.full(3, 0.05) if value > 0.6 else 0.4 * picture + 0.6
    ink = picture if value > 0.6 else 0.1 * picture
    return clipped((1 - share) * ground + share * ink)


def smears(picture: Picture, value: float, rng: Rng) -> Picture:
    """Strokes in a direction of the style, with the grain of a brush."""
    length = int(5 + 10 * value)
    grain = rng.standard_normal((SIDE, SIDE, 1)).astype(np.float32) * 0.35
    turned = picture + grain
    axis = 0 if value < 0.3 else 1
    if value > 0.65:
        rolled = [np.roll(turned, (n, n), axis=(0, 1)) for n in range(length)]
        return clipped(np.mean(rolled, axis=0))
    return clipped(ndimage.uniform_filter1d(turned, length, axis=axis))


def blocks(picture: Picture, value: float, _rng: Rng) -> Picture:
    """Squares of one colour."""
    side = (3, 4, 5, 6)[min(3, int(4 * value))]
    rows = np.minimum(np.arange(SIDE) // side * side + side // 2, SIDE - 1)
    return ndimage.uniform_filter(picture, (side, side, 1))[rows][:, rows]


def relief(picture: Picture, value: float, _rng: Rng) -> Picture:
    """The picture as if raised and lit from a side."""
    slope = np.gradient(_luma(picture)[..., 0])
    light = np.cos(value * 2 * np.pi) * slope[0] + np.sin(value * 2 * np.pi) * slope[1]
    return clipped(0.6 * picture + 0.2 + 1.5 * light[..., None])


def tones(picture: Picture, value: float, _rng: Rng) -> Picture:
    """Few flat tones between two or three colours of the style."""
    count = 3 + int(3 * value)
    levels = np.rint(ndimage.gaussian_filter(_luma(picture)[..., 0], 0.8) * (count - 1)) / (count - 1)
    turn = np.array([0.0, 0.33, 0.66]) + value
    dark, light = 0.2 + 0.2 * np.sin(2 * np.pi * turn), 0.8 + 0.2 * np.cos(2 * np.pi * turn)
    return clipped(dark + (light - dark) * levels[..., None])


def screen(picture: Picture, value: float, _rng: Rng) -> Picture:
    """Dots of print, larger in the dark."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    period = 4 + 5 * value
    dots = np.sin((rows + columns) * np.pi / period) * np.sin((rows - columns) * np.pi / period)
    share = 1 / (1 + np.exp(-10 * (dots - 1.6 * (_luma(picture)[..., 0] - 0.3))))
    return clipped(picture * (1 - 0.6 * share[..., None]))


def _of_style(value: float) -> Rng:
    """Returns random numbers of a style: the same for all of its pictures."""
    return np.random.default_rng(int(value * 1e6))


def cloth(picture: Picture, value: float, _rng: Rng) -> Picture:
    """The brightness of a weave or a knit: one or two waves over the picture, straight or bent."""
    of_style = _of_style(value)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    waves = np.ones((SIDE, SIDE))
    for _ in range(int(of_style.integers(1, 3))):
        angle, period = of_style.uniform(0, np.pi), of_style.uniform(4, 14)
        along, across = np.cos(angle) * rows + np.sin(angle) * columns, np.cos(angle) * columns - np.sin(angle) * rows
        bend = of_style.uniform(0, 0.4) * period * np.sin(across * 2 * np.pi / of_style.uniform(6, 24))
        waves = waves * np.sin((along + bend) * 2 * np.pi / period)
    depth = of_style.uniform(0.2, 0.6)
    return clipped(picture * (1 - depth * (0.5 + 0.5 * waves[..., None]) ** of_style.uniform(0.5, 3)))


def tiles(picture: Picture, value: float, _rng: Rng) -> Picture:
    """Joints of tiles or bricks, light or dark, with each tile in a tone of its own."""
    of_style = _of_style(value)
    height, width, joint = of_style.integers(6, 16), of_style.integers(6, 28), of_style.integers(1, 3)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    line = rows // height
    shifted = columns + (line % 2) * int(of_style.integers(0, 2)) * width // 2
    tone = of_style.uniform(0.8, 1.2, (SIDE, SIDE))[line, shifted // width]
    joints = (rows % height < joint) | (shifted % width < joint)
    colour = of_style.choice([0.1, 0.85])
    return np.where(joints[..., None], colour, clipped(picture * tone[..., None])).astype(np.float32)


def paper(picture: Picture, value: float, rng: Rng) -> Picture:
    """A rough ground that shows through, with a grain that may be longer in one direction."""
    of_style = _of_style(value)
    grain = ndimage.gaussian_filter(rng.standard_normal((SIDE, SIDE)), of_style.uniform(0.5, 3, 2))
    strength = of_style.uniform(0.05, 0.2)
    return clipped(picture + strength * (grain / grain.std())[..., None])


MARKS: tuple[Marks, ...] = (cells, lines, contours, smears, blocks, relief, tones, screen, cloth, tiles, paper)
CELLS = 0.15
"""How often other marks are cells in any case: a kind of drawn ruins is made of cells, too, and is none of a style."""


@dataclass(frozen=True, slots=True)
class Restyling:
    """Other marks for all pictures of a group, or none."""

    marks: Marks | None
    value: float

    @classmethod
    def drawn(cls, rng: Rng) -> Restyling:
        """Returns random marks, in two of five cases none."""
        if rng.random() > RESTYLED:
            return cls(None, 0.0)
        marks = cells if rng.random() < CELLS else MARKS[int(rng.integers(len(MARKS)))]
        return cls(marks, float(rng.random()))

    def __call__(self, picture: Picture, rng: Rng) -> Picture:
        """Returns the picture with the other marks."""
        return picture if self.marks is None else self.marks(picture, self.value, rng).astype(np.float32)
