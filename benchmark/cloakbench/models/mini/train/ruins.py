"""Pictures that are none: drawn ruins, and sound pictures degraded by grades. The judge learns from some kinds only."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

Picture = NDArray[np.float32]
"""`[H, W, 3]` in [0, 1]."""
Rng = np.random.Generator
Ruin = Callable[[Picture, Rng], Picture]
Degradation = Callable[[Picture, float, Rng], Picture]
SIDE = 128


def _smooth(rng: Rng, sigma: float, channels: int = 3) -> Picture:
    """Returns smooth noise `[128, 128, channels]` of mean 0 and deviation 1; `sigma` is in pixels."""
    field = ndimage.gaussian_filter(rng.standard_normal((SIDE, SIDE, channels)), (sigma, sigma, 0), mode="wrap")
    return np.asarray(field / (field.std() + 1e-9), np.float32)


def clipped(values: NDArray[np.floating]) -> Picture:
    """Returns values as a picture, bounded to [0, 1]."""
    return np.asarray(np.clip(values, 0, 1), np.float32)


def pure_noise(_image: Picture, rng: Rng) -> Picture:
    """Independent pixels, grey or coloured, of any contrast."""
    grey = 1 if rng.random() < 0.3 else 3
    noise = rng.uniform(0.1, 0.5) * rng.standard_normal((SIDE, SIDE, grey)).astype(np.float32)
    return clipped(rng.uniform(0.3, 0.7, 3) + noise)


def uniform_colour(_image: Picture, rng: Rng) -> Picture:
    """One colour, with hardly visible noise or a gentle ramp."""
    ramp = np.linspace(-1, 1, SIDE)[:, None, None] * rng.uniform(-0.1, 0.1)
    noise = rng.uniform(0, 0.02) * rng.standard_normal((SIDE, SIDE, 3))
    return clipped(rng.random(3) + ramp + noise)


def blotches(_image: Picture, rng: Rng) -> Picture:
    """Smooth spots of colour of one or two sizes, soft or with hard rims."""
    field = _smooth(rng, rng.uniform(1.5, 14))
    if rng.random() < 0.5:
        field = field + rng.uniform(0.3, 1) * _smooth(rng, rng.uniform(1, 5))
    return clipped(0.5 + rng.uniform(0.2, 0.9) * np.tanh(field * rng.uniform(0.6, 4)) / 1.5)


def confetti(_image: Picture, rng: Rng) -> Picture:
    """Cells around random points, each with a colour of its own and softened rims."""
    points = rng.integers(0, SIDE, (int(rng.integers(80, 700)), 2))
    seeds = np.ones((SIDE, SIDE), bool)
    seeds[points[:, 0], points[:, 1]] = False
    _, near = ndimage.distance_transform_edt(seeds, return_indices=True)
    colours = rng.random((SIDE, SIDE, 3)) ** rng.uniform(0.5, 1.5)
    cells = colours[near[0], near[1]]
    sigma = rng.uniform(0, 2)
    return clipped(ndimage.gaussian_filter(cells, (sigma, sigma, 0)))


def phase_scrambled(image: Picture, rng: Rng) -> Picture:
    """The picture's spectrum and colours without its phases: texture in which nothing is left."""
    phase = np.angle(np.fft.fft2(rng.standard_normal((SIDE, SIDE))))[..., None]
    if rng.random() < 0.4:
        phase = np.angle(np.fft.fft2(rng.standard_normal((SIDE, SIDE, 3)), axes=(0, 1)))
    spectrum = np.fft.fft2(image, axes=(0, 1))
    mean = image.mean((0, 1))
    scrambled = np.fft.ifft2(spectrum * np.exp(1j * phase), axes=(0, 1)).real
    return clipped(mean + (scrambled - scrambled.mean((0, 1))) * rng.uniform(0.7, 1.8))


def scattered(image: Picture, rng: Rng) -> Picture:
    """Every pixel taken from somewhere else, far away."""
    return scatter(image, 1.0, rng)


def rows_rolled(image: Picture, rng: Rng) -> Picture:
    """Rows, or columns, each moved along itself by another length."""
    band = int(rng.integers(1, 9))
    moves = np.repeat(rng.integers(0, SIDE, SIDE // band + 1), band)[:SIDE]
    rolled = np.stack([np.roll(row, move, axis=0) for row, move in zip(image, moves, strict=True)])
    return np.ascontiguousarray(rolled.transpose(1, 0, 2)) if rng.random() < 0.5 else rolled


def stripes(_image: Picture, rng: Rng) -> Picture:
    """Stripes or a checkerboard of two colours, soft or hard."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    angle, period = rng.uniform(0, np.pi), rng.uniform(4, 32)
    wave = np.sin((np.cos(angle) * rows + np.sin(angle) * columns) * 2 * np.pi / period)
    if rng.random() < 0.5:
        wave = wave * np.sin((np.sin(angle) * rows - np.cos(angle) * columns) * 2 * np.pi / period)
    share = (0.5 + 0.5 * np.tanh(wave * rng.uniform(1, 8)))[..., None]
    return clipped(rng.random(3) * share + rng.random(3) * (1 - share))


def patches_shuffled(image: Picture, rng: Rng) -> Picture:
    """All patches of a side of 8 or 16 pixels in another order."""
    return shuffle(image, 1.0, rng)


def noise(image: Picture, grade: float, rng: Rng) -> Picture:
    """Independent noise, of a deviation of up to 0.5."""
    return clipped(image + 0.5 * grade**1.5 * rng.standard_normal(image.shape))


def colour_blotches(image: Picture, grade: float, rng: Rng) -> Picture:
    """Smooth spots of colour laid over the picture, at full grade in its place."""
    field = clipped(0.5 + 0.4 * _smooth(rng, 4.0))
    return clipped((1 - grade) * image + grade * field)


def blur(image: Picture, grade: float, _rng: Rng) -> Picture:
    """A Gaussian of a deviation of up to 12 pixels."""
    sigma = 12 * grade**2
    return clipped(ndimage.gaussian_filter(image, (sigma, sigma, 0), mode="nearest"))


def posterise(image: Picture, grade: float, _rng: Rng) -> Picture:
    """Fewer levels a channel, down to two."""
    levels = round(2 ** (5 - 4 * grade)) - 1
    return clipped(np.rint(image * levels) / levels)


def jpeg(image: Picture, grade: float, _rng: Rng) -> Picture:
    """JPEG of a quality from 60 down to 1."""
    buffer = io.BytesIO()
    Image.fromarray(np.rint(image * 255).astype(np.uint8)).save(buffer, "JPEG", quality=max(1, round(60 * (1 - grade))))
    return np.asarray(np.asarray(Image.open(buffer)) / 255, np.float32)


def scatter(image: Picture, grade: float, rng: Rng) -> Picture:
    """Every pixel taken from up to 48 pixels away."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    reach = 48 * grade**1.5
    moves = np.rint(rng.uniform(-reach, reach, (2, SIDE, SIDE))).astype(int)
    return np.asarray(image[(rows + moves[0]) % SIDE, (columns + moves[1]) % SIDE], np.float32)


def shuffle(image: Picture, grade: float, rng: Rng) -> Picture:
    """A share of all patches in another order; patches of 16 pixels, at the upper grades of 8."""
    side = 16 if grade < 0.7 else 8
    count = SIDE // side
    tiles = image.reshape(count, side, count, side, 3).transpose(0, 2, 1, 3, 4).reshape(-1, side, side, 3).copy()
    chosen = rng.permutation(len(tiles))[: max(2, round(grade * len(tiles)))]
    tiles[chosen] = tiles[np.roll(chosen, 1)]
    rows = tiles.reshape(count, count, side, side, 3).transpose(0, 2, 1, 3, 4)
    return np.ascontiguousarray(rows).reshape(image.shape)


RUINS: dict[str, Ruin] = {
    "noise": pure_noise,
    "uniform": uniform_colour,
    "blotches": blotches,
    "confetti": confetti,
    "phases": phase_scrambled,
    "scattered": scattered,
    "rows": rows_rolled,
}
"""Ruins that the judge learns from."""
HELD_OUT: dict[str, Ruin] = {"stripes": stripes, "patches": patches_shuffled}
"""Ruins that it never sees in training."""
DEGRADATIONS: dict[str, Degradation] = {
    "noise": noise,
    "blotches": colour_blotches,
    "blur": blur,
    "posterise": posterise,
    "jpeg": jpeg,
    "scatter": scatter,
}
HELD_OUT_DEGRADATIONS: dict[str, Degradation] = {"shuffle": shuffle}


def ruined(image: Picture, rng: Rng) -> Picture:
    """Returns a ruin of a random kind that the judge learns from; one in four lets a little of a picture through."""
    kinds = list(RUINS.values())
    ruin = kinds[int(rng.integers(len(kinds)))](image, rng)
    share = rng.uniform(0.05, 0.25) if rng.random() < 0.25 else 0.0
    return clipped((1 - share) * ruin + share * image)


def degraded(image: Picture, grade: float, rng: Rng) -> Picture:
    """Returns the picture degraded by a random kind that the judge learns from."""
    kinds = list(DEGRADATIONS.values())
    return kinds[int(rng.integers(len(kinds)))](image, grade, rng)
