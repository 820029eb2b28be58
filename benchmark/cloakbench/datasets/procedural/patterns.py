"""Marks of the suites' artists: functions with their sizes as parameters, so that they can be tried with other ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from cloakbench.datasets.procedural.marks import blur, cells, grain, smear, warp, waves
from cloakbench.datasets.procedural.scenes import SIZE, Floats, Rng, smooth_noise

Y, X = np.meshgrid(np.arange(SIZE, dtype=np.float32), np.arange(SIZE, dtype=np.float32), indexing="ij")
"""Row and column of each pixel."""


def sample(image: Floats, y: Floats, x: Floats, sigma: float) -> Floats:
    """Returns the blurred image's colours at positions (pixels), which are clipped to the picture."""
    rows = np.clip(np.rint(y), 0, SIZE - 1).astype(np.intp)
    columns = np.clip(np.rint(x), 0, SIZE - 1).astype(np.intp)
    return np.asarray(blur(image, sigma)[rows, columns], np.float32)


def triangle(value: Floats) -> Floats:
    """Returns a triangle wave in [-1, 1] of period 1."""
    return np.asarray(4 * np.abs((value % 1.0) - 0.5) - 1, np.float32)


def honeycomb(rng: Rng, pitch: float) -> tuple[Floats, Floats]:
    """Returns each pixel's offsets (down, right; pixels) from the nearest point of a hexagonal grid."""
    step = pitch * np.sqrt(3) / 2
    points = []
    for row, y in enumerate(np.arange(-2 * step, SIZE + 2 * step, step)):
        columns = np.arange(-2 * pitch, SIZE + 2 * pitch, pitch) + pitch / 2 * (row % 2)
        points.append(np.stack([np.full(len(columns), y), columns], -1))
    centres = np.concatenate(points) + rng.uniform(0, pitch, 2)
    nearest = np.asarray(cKDTree(centres).query(np.stack([Y, X], -1).reshape(-1, 2))[1]).reshape(SIZE, SIZE)
    offsets = np.stack([Y, X], -1) - centres[nearest]
    return offsets[..., 0].astype(np.float32), offsets[..., 1].astype(np.float32)


def beads(image: Floats, rng: Rng, pitch: float, ground: Floats) -> Floats:
    """Returns the image in round beads of one colour, lit from the upper left, on `ground`, a colour or an image."""
    down, right = honeycomb(rng, pitch)
    size = 0.52 * pitch
    far = np.hypot(down, right) / size
    colour = sample(image, Y - down, X - right, pitch / 4)
    lit = colour * (0.85 - 0.5 * (down + right) / (2 * size))[..., None]
    glint = np.exp(-((down + 0.3 * size) ** 2 + (right + 0.3 * size) ** 2) / (0.09 * size**2))
    ball = lit + 0.55 * glint[..., None]
    cover = np.clip((1 - far) * size + 0.5, 0, 1)[..., None]
    return np.clip(ground + (ball - ground) * cover, 0, 1).astype(np.float32)


def stitches(image: Floats, rng: Rng, width: float, height: float) -> Floats:
    """Returns the image knitted: each stitch a V of one colour, light in the middle of the yarn, dark between."""
    across = (X + rng.uniform(0, width)) % width - width / 2
    slanted = Y + 1.1 * np.abs(across) + rng.uniform(0, height)
    row = np.floor(slanted / height)
    down = slanted - (row + 0.5) * height
    colour = sample(image, Y - down, X - across, width / 5)
    yarn = np.cos(np.pi * down / height) * (1 - 0.55 * np.exp(-((np.abs(across) / 1.1) ** 2)))
    yarn = yarn * (1 - 0.6 * np.exp(-(((width / 2 - np.abs(across)) / 1.1) ** 2)))
    return np.asarray(np.clip(colour * (0.42 + 0.75 * yarn[..., None]), 0, 1), np.float32)


def creases(rng: Rng, pitch: float) -> Floats:
    """Returns the light on crumpled paper, about -1 to 1: facets, each a slope of its own, with bright folds."""
    index, depth, centre = cells(rng, pitch, 0.5)
    slopes = rng.normal(0, 1, (len(centre), 2))
    base = rng.normal(0, 0.35, len(centre))
    down, right = Y - centre[index, 0], X - centre[index, 1]
    light = base[index] + (slopes[index, 0] * down + slopes[index, 1] * right) / pitch
    fold = np.clip(1.6 - depth, 0, 1)
    return np.asarray(np.clip(light, -1.2, 1.2) * (1 - fold) + fold, np.float32)


def beams(rng: Rng, count: int, length: int) -> tuple[Floats, Floats]:
    """Returns rays from a point in the upper part: the direction at each pixel (radians), and their light, -1 to 1."""
    y, x = rng.uniform(0.05, 0.35) * SIZE, rng.uniform(0.25, 0.75) * SIZE
    angle = np.arctan2(Y - y, X - x).astype(np.float32)
    flicker = smear(grain(rng, 1.8, 1.0)[..., None], angle, length)[..., 0]
    wedge = np.sin(count * angle + 2 * smooth_noise(rng, 2) + rng.uniform(0, 6.3))
    light = 0.6 * np.sign(wedge) * np.minimum(1, 3 * np.abs(wedge)) + 0.4 * flicker / flicker.std()
    return angle, np.asarray(np.clip(light, -1.4, 1.4), np.float32)


def ripples(image: Floats, rng: Rng, period: float, swing: float) -> tuple[Floats, Floats, Floats]:
    """Returns the image as mirrored in water, and the coverage of its light and of its dark lens-shaped ripples."""
    bend = 2.5 * period * smooth_noise(rng, 3)
    sway = swing * (2 * waves(np.pi / 2, period, bend=bend) - 1)
    mirrored = warp(image, sway.astype(np.float32), np.zeros_like(sway))
    long = waves(0.0, 3.4 * period, rng.uniform(0, 6.3), bend=4 * period * smooth_noise(rng, 5))
    light = np.clip((waves(np.pi / 2, period, 1.0, bend=bend) + 0.5 * long - 1.05) * 4, 0, 1)
    dark = np.clip((waves(np.pi / 2, period, 4.1, bend=bend) + 0.5 * (1 - long) - 1.05) * 4, 0, 1)
    return mirrored, light.astype(np.float32), dark.astype(np.float32)


def blots(rng: Rng, sigma: float, least: float) -> Floats:
    """Returns coverage by irregular blots whose size goes with `sigma`; `least` (deviations) makes them rarer."""
    return np.asarray(np.clip((grain(rng, sigma, 1.0) - least) * 5 + 0.5, 0, 1), np.float32)


def emboss(height: Floats, angle: float, sigma: float) -> Floats:
    """Returns the light on a relief from `angle` (radians), about -1 to 1."""
    down = ndimage.gaussian_filter(height, sigma, order=(1, 0), mode="nearest")
    right = ndimage.gaussian_filter(height, sigma, order=(0, 1), mode="nearest")
    slope = np.sin(angle) * down + np.cos(angle) * right
    return np.asarray(np.tanh(slope * 9), np.float32)


def _leaf(down: Floats, right: Floats, turn: float, length: float) -> tuple[Floats, Floats]:
    """Returns coverage of a pointed leaf around (0, 0), and on which side of its rib a pixel lies (-1 or 1)."""
    along, across = np.cos(turn) * right + np.sin(turn) * down, np.cos(turn) * down - np.sin(turn) * right
    half_width = 0.36 * length * (1 - (along / length) ** 2)
    return np.clip(half_width - np.abs(across) + 0.5, 0, 1) * (np.abs(along) < length), np.sign(across)


def leaves(image: Floats, rng: Rng, length: float, count: int, turns: Floats, ground: Floats) -> Floats:
    """Returns `ground` laid with leaves in the image's colours along `turns` (radians); half of each is darker."""
    canvas, soft, reach = ground.copy(), blur(image, length / 5), int(length) + 2
    for y, x in rng.uniform(0, SIZE, (count, 2)):
        row, column = int(y), int(x)
        rows = slice(max(0, row - reach), row + reach + 1)
        columns = slice(max(0, column - reach), column + reach + 1)
        turn = turns[row, column] + rng.normal(0, 0.35)
        cover, side = _leaf(Y[rows, columns] - y, X[rows, columns] - x, turn, length)
        colour = (soft[row, column] + rng.normal(0, 0.05)) * (1 + 0.22 * side[..., None])
        canvas[rows, columns] += (colour - canvas[rows, columns]) * cover[..., None]
    return np.clip(canvas, 0, 1).astype(np.float32)


def layers(height: Floats, count: int, drop: float) -> tuple[NDArray[np.intp], Floats]:
    """Returns which of `count` stacked sheets lies on top at each pixel, and the shadow (0 to 1) it lies in."""
    level = np.clip(height * count, 0, count - 1).astype(np.intp)
    shadow = np.zeros((SIZE, SIZE), np.float32)
    for sheet in range(1, count):
        cover = (level >= sheet).astype(np.float32)
        cast = ndimage.shift(blur(cover, drop / 3), (drop, drop), order=1, mode="nearest")
        shadow = np.maximum(shadow, cast * (1 - cover))
    return level, shadow


def triangles(image: Floats, rng: Rng, side: float, spread: float) -> Floats:
    """Returns the image in equal triangles of one colour; those that point down are darker."""
    rise = side * np.sqrt(3) / 2
    a = (Y + rng.uniform(0, rise)) / rise
    b = (X + rng.uniform(0, side)) / side - a / 2
    points_down = (a % 1 + b % 1) > 1
    third = np.where(points_down, 2 / 3, 1 / 3)
    down, right = third - a % 1, third - b % 1
    colour = sample(image, Y + down * rise, X + (right + down / 2) * side, side / 6)
    tints = rng.normal(0, spread, (64, 64, 2))
    tint = tints[np.floor(a).astype(int) % 64, np.floor(b).astype(int) % 64, points_down.astype(int)]
    lit = colour * np.where(points_down, 0.75, 1.17)[..., None] + tint[..., None]
    return np.asarray(np.clip(lit, 0, 1), np.float32)


def prints(rng: Rng, pitch: float) -> list[Floats]:
    """Returns the coverage of five textile prints: diagonal stripes, checks, discs, zigzag, bars."""
    shift = rng.uniform(0, pitch, 2)
    y, x = Y + shift[0], X + shift[1]
    stripes = ((x + y) / (1.4 * pitch)) % 1 < 0.45
    checks = (np.floor(x / pitch) + np.floor(y / pitch)) % 2 == 0
    discs = np.hypot(x % (1.3 * pitch) - 0.65 * pitch, y % (1.3 * pitch) - 0.65 * pitch) < 0.38 * pitch
    zigzag = ((y + 0.5 * pitch * triangle(x / (1.6 * pitch))) / (1.2 * pitch)) % 1 < 0.45
    bars = (x / pitch) % 1 < 0.4
    return [blur(coverage.astype(np.float32), 0.5) for coverage in (stripes, checks, discs, zigzag, bars)]


def crosses(image: Floats, rng: Rng, pitch: int, width: float) -> tuple[Floats, Floats]:
    """Returns the colour of each cell of a square grid, and the coverage of an X in it."""
    down = (Y + int(rng.integers(pitch))) % pitch - (pitch - 1) / 2
    right = (X + int(rng.integers(pitch))) % pitch - (pitch - 1) / 2
    colour = sample(image, Y - down, X - right, pitch / 5)
    near = np.minimum(np.abs(down - right), np.abs(down + right)) / np.sqrt(2)
    inside = np.maximum(np.abs(down), np.abs(right)) < pitch / 2 - 0.6
    return colour, np.asarray(np.clip(width / 2 - near + 0.5, 0, 1) * inside, np.float32)


def plates(image: Floats, rng: Rng, offset: float, inks: Floats, paper: Floats) -> Floats:
    """Returns the image printed with three inks `[3, 3]`, one per channel, each plate moved `offset` pixels."""
    turn, printed = rng.uniform(0, 2 * np.pi), np.broadcast_to(paper, image.shape).astype(np.float32)
    for n in range(3):
        angle = turn + 2 * np.pi * n / 3
        plate = np.rint(2.4 * (1 - image[..., n])) / 2
        moved = ndimage.shift(plate, offset * np.array([np.sin(angle), np.cos(angle)]), order=1, mode="nearest")
        half = (moved > 0.25) & (moved < 0.75) & (((X + (n - 1) * Y) / 12) % 1 < 0.5)
        cover = np.where(half, 0.15, np.clip(moved, 0, 1))
        printed = printed * (1 - cover[..., None] * (1 - inks[n]))
    return np.clip(printed, 0, 1).astype(np.float32)


def threads(rng: Rng, width: int, swing: float, period: float) -> Floats:
    """Returns by how many pixels each column is moved down: a zigzag in steps of `width`, with a jitter per step."""
    steps = np.arange(SIZE) // width
    zigzag = swing * triangle((steps * width / period + rng.uniform(0, 1)).astype(np.float32))
    jitter = rng.uniform(-0.35 * swing, 0.35 * swing, SIZE // width + 1)[steps]
    return np.broadcast_to((zigzag + jitter)[None, :], (SIZE, SIZE)).astype(np.float32)


def packed_discs(rng: Rng, largest: float, smallest: float) -> list[tuple[float, float, float]]:
    """Returns discs (row, column, radius) that do not overlap, placed at random, the large ones first."""
    discs = np.zeros((0, 3))
    for radius in np.linspace(largest, smallest, 6):
        for y, x in rng.uniform(-2, SIZE + 2, (260, 2)):
            gaps = np.hypot(discs[:, 0] - y, discs[:, 1] - x) - discs[:, 2] - radius
            if not len(discs) or gaps.min() > 0.7:
                discs = np.concatenate([discs, [[y, x, radius]]])
    return [(float(y), float(x), float(radius)) for y, x, radius in discs]


def disc_plate(image: Floats, rng: Rng, largest: float, smallest: float, ground: Floats) -> Floats:
    """Returns the image in flat discs of many sizes on `ground`, an image."""
    canvas, soft = ground.copy(), blur(image, smallest / 2)
    for y, x, radius in packed_discs(rng, largest, smallest):
        rows = slice(max(0, int(y - radius) - 1), max(0, int(y + radius) + 3))
        columns = slice(max(0, int(x - radius) - 1), max(0, int(x + radius) + 3))
        cover = np.clip(radius + 0.5 - np.hypot(Y[rows, columns] - y, X[rows, columns] - x), 0, 1)[..., None]
        colour = soft[min(max(int(y), 0), SIZE - 1), min(max(int(x), 0), SIZE - 1)] + rng.normal(0, 0.15)
        canvas[rows, columns] += (colour - canvas[rows, columns]) * cover
    return np.clip(canvas, 0, 1).astype(np.float32)


def arcs(rng: Rng, pitch: int, width: float) -> tuple[Floats, Floats]:
    """Returns Truchet tiles: the coverage of their quarter circles, and of the corners that these cut off."""
    flipped = rng.random((SIZE // pitch + 2, SIZE // pitch + 2)) < 0.5
    turn = flipped[(Y // pitch).astype(int), (X // pitch).astype(int)]
    down, right = Y % pitch + 0.5, X % pitch + 0.5
    right = np.where(turn, pitch - right, right)
    far = np.minimum(np.hypot(down, right), np.hypot(pitch - down, pitch - right))
    line = np.clip(width / 2 - np.abs(far - pitch / 2) + 0.5, 0, 1)
    corner = np.clip(pitch / 2 - far + 0.5, 0, 1)
    return line.astype(np.float32), corner.astype(np.float32)
