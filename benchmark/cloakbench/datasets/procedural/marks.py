"""Mark-making: pure functions from image `[128, 128, 3]` in [0, 1] to image, each one way of putting paint down."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from cloakbench.datasets.procedural.scenes import SIZE, Floats, smooth_noise

_Y, _X = np.meshgrid(np.arange(SIZE, dtype=np.float32), np.arange(SIZE, dtype=np.float32), indexing="ij")


def luma(image: Floats) -> Floats:
    """Returns brightness `[128, 128]` in [0, 1] (Rec. 601 weights)."""
    weights = np.array([0.299, 0.587, 0.114], dtype=np.float32)
    return np.asarray(image @ weights, dtype=np.float32)


def shade(image: Floats, tone: Floats, amount: float) -> Floats:
    """Returns the image lit by `tone`: darker where it is below 0.5, lighter above."""
    return np.clip(image * (1 + amount * (2 * tone[..., None] - 1)), 0, 1).astype(np.float32)


def mix(image: Floats, other: Floats, mask: Floats) -> Floats:
    """Returns `image` where `mask` is 0 and `other` (an image or a colour) where it is 1."""
    return np.clip(image + (other - image) * mask[..., None], 0, 1).astype(np.float32)


def blur(image: Floats, sigma: float) -> Floats:
    """Returns the image after a Gaussian blur over both sides, never over channels."""
    sigmas = (sigma, sigma, 0.0)[: image.ndim]
    return np.asarray(ndimage.gaussian_filter(image, sigmas, mode="nearest"), dtype=np.float32)


def waves(angle: float, period: float, phase: float = 0.0, bend: Floats | None = None) -> Floats:
    """Returns a sine grating `[128, 128]` in [0, 1]; `bend` (pixels) displaces it."""
    along = np.cos(angle) * _X + np.sin(angle) * _Y
    if bend is not None:
        along = along + bend
    return np.asarray(0.5 + 0.5 * np.sin(2 * np.pi * along / period + phase), np.float32)


def ink(lines: Floats, darkness: Floats, softness: float = 0.12) -> Floats:
    """Returns line coverage in [0, 1]: a grating thresholded so that lines widen with `darkness`."""
    return np.asarray(np.clip((darkness - lines) / softness + 0.5, 0, 1), np.float32)


def dots(pitch: float, angle: float, darkness: Floats) -> Floats:
    """Returns halftone coverage: dots on a turned grid whose area grows with `darkness`."""
    grid = 0.5 * (waves(angle, pitch) + waves(angle + np.pi / 2, pitch))
    return ink(1 - grid, darkness, 0.15)


def cells(rng: np.random.Generator, pitch: float, jitter: float) -> tuple[NDArray[np.intp], Floats, NDArray[np.intp]]:
    """Returns each pixel's Voronoi cell and its depth in it (pixels to the border), and each cell's centre pixel."""
    ticks = np.arange(-pitch, SIZE + pitch, pitch)
    seeds = np.stack(np.meshgrid(ticks, ticks, indexing="ij"), -1).reshape(-1, 2)
    seeds = seeds + rng.uniform(-jitter * pitch, jitter * pitch, seeds.shape)
    distance, index = cKDTree(seeds).query(np.stack([_Y, _X], -1).reshape(-1, 2), k=2)
    distance, index = np.asarray(distance), np.asarray(index)
    depth = ((distance[:, 1] - distance[:, 0]) / 2).reshape(SIZE, SIZE).astype(np.float32)
    centre = np.clip(seeds, 0, SIZE - 1).astype(np.intp)
    return index[:, 0].reshape(SIZE, SIZE), depth, centre


def tiles(image: Floats, rng: np.random.Generator, pitch: float, jitter: float, spread: float) -> tuple[Floats, Floats]:
    """Returns the image in single-coloured cells and each pixel's depth in its cell; `spread` varies their colour."""
    index, depth, centre = cells(rng, pitch, jitter)
    plain = blur(image, pitch / 4)[centre[:, 0], centre[:, 1]]
    colours = plain + rng.normal(0, spread, (len(plain), 1)) + rng.normal(0, spread / 2, plain.shape)
    return np.clip(colours[index], 0, 1).astype(np.float32), depth


def _pixel(position: Floats) -> NDArray[np.intp]:
    """Returns the nearest row or column of each position."""
    return np.asarray(np.clip(np.rint(position), 0, SIZE - 1), np.intp)


def smear(image: Floats, angle: Floats, length: int) -> Floats:
    """Returns the image averaged along a direction field (radians), `length` steps both ways: brush strokes."""
    step_x: Floats = np.cos(angle)
    step_y: Floats = np.sin(angle)
    total = image.copy()
    for sign in (1.0, -1.0):
        x: Floats = _X.copy()
        y: Floats = _Y.copy()
        for _ in range(length):
            row, column = _pixel(y), _pixel(x)
            x, y = x + sign * step_x[row, column], y + sign * step_y[row, column]
            total += image[_pixel(y), _pixel(x)]
    return (total / (2 * length + 1)).astype(np.float32)


def strokes(image: Floats, angle: Floats, rng: np.random.Generator, length: int, amount: float) -> Floats:
    """Returns the image painted in strokes along `angle`: colour smeared, with the relief of bristles on it."""
    bristles = smear(grain(rng, 0.9, 1.0)[..., None], angle, length)[..., 0]
    relief = (bristles - bristles.mean()) / (bristles.std() + 1e-6)
    painted = np.clip(smear(image, angle, length) + amount * relief[..., None], 0, 1)
    return np.asarray(painted, np.float32)


def swirl_field(rng: np.random.Generator, centres: int) -> Floats:
    """Returns a direction field (radians) that circles around `centres` random points."""
    total = np.zeros((SIZE, SIZE, 2), np.float32)
    for _ in range(centres):
        cy, cx = rng.uniform(0, SIZE, 2)
        dy, dx = _Y - cy, _X - cx
        weight = np.exp(-(dx**2 + dy**2) / (2 * 30.0**2)) + 0.02
        total += np.stack([-dy, dx], -1) / (np.hypot(dx, dy)[..., None] + 1) * weight[..., None]
    return np.arctan2(total[..., 1], total[..., 0]).astype(np.float32)


def noise_field(rng: np.random.Generator, bumps: int, swing: float) -> Floats:
    """Returns a smooth direction field (radians) around a random mean direction."""
    return (rng.uniform(0, np.pi) + swing * (smooth_noise(rng, bumps) - 0.5)).astype(np.float32)


def warp(image: Floats, dx: Floats, dy: Floats) -> Floats:
    """Returns the image sampled at displaced positions (pixels), bilinear, edges repeated."""
    where = np.stack([_Y + dy, _X + dx])
    planes = []
    for c in range(image.shape[-1]):
        planes.append(ndimage.map_coordinates(image[..., c], where, order=1, mode="nearest"))
    return np.stack(planes, -1).astype(np.float32)


def posterise(image: Floats, levels: int) -> Floats:
    """Returns the image with `levels` values per channel."""
    return (np.rint(image * (levels - 1)) / (levels - 1)).astype(np.float32)


def grain(rng: np.random.Generator, sigma: float, amount: float) -> Floats:
    """Returns blurred noise `[128, 128]` with standard deviation `amount`: paper, dust or chalk."""
    noise = blur(rng.standard_normal((SIZE, SIZE)).astype(np.float32), sigma)
    return np.asarray(noise / noise.std() * amount, np.float32)


def ramp(value: Floats, stops: Floats) -> Floats:
    """Returns colours for `value` in [0, 1] by linear interpolation between `stops` `[n, 3]`."""
    positions = np.linspace(0, 1, len(stops))
    return np.stack([np.interp(value, positions, stops[:, c]) for c in range(3)], -1).astype(np.float32)


def radius(rng: np.random.Generator) -> Floats:
    """Returns each pixel's distance (pixels) to a random point near the middle."""
    cy, cx = rng.uniform(0.3 * SIZE, 0.7 * SIZE, 2)
    return np.asarray(np.hypot(_Y - cy, _X - cx), np.float32)
