from __future__ import annotations

import numpy as np
import pytest

from cloakbench.datasets.procedural import patterns
from cloakbench.datasets.procedural.scenes import SIZE


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.fixture
def image(rng):
    return rng.random((SIZE, SIZE, 3)).astype(np.float32)


def test_a_triangle_wave_starts_at_1_and_is_minus_1_after_half_a_period():
    phases = np.array([0, 0.25, 0.5, 0.75, 1], np.float32)
    assert patterns.triangle(phases).tolist() == [1, 0, -1, 0, 1]


def test_no_pixel_is_farther_from_its_bead_than_the_corner_of_a_hexagon(rng):
    down, right = patterns.honeycomb(rng, 9.0)
    assert np.hypot(down, right).max() <= 9.0 / np.sqrt(3) + 1e-4


def test_packed_discs_do_not_overlap(rng):
    discs = np.array(patterns.packed_discs(rng, 8.0, 3.0))
    gaps = np.hypot(discs[:, None, 0] - discs[None, :, 0], discs[:, None, 1] - discs[None, :, 1])
    gaps = gaps - discs[:, None, 2] - discs[None, :, 2]
    assert gaps[~np.eye(len(discs), dtype=bool)].min() > 0
    assert (discs[:, 2] == 8.0).sum() > 5


def test_a_sheet_throws_its_shadow_down_and_to_the_right():
    height = np.zeros((SIZE, SIZE), np.float32)
    height[40:60, 40:60] = 0.9
    level, shadow = patterns.layers(height, 2, 4.0)
    assert (level[50, 50], level[20, 20]) == (1, 0)
    assert shadow[61, 61] > 0.5
    assert shadow[38, 38] < 0.1
    assert shadow[50, 50] == 0


def test_triangles_of_one_tone_point_up_or_down_in_one_shade_each(rng):
    grey = np.full((SIZE, SIZE, 3), 0.5, np.float32)
    drawn = patterns.triangles(grey, rng, 12.0, 0.0)
    assert len(np.unique(drawn)) == 2


def test_columns_of_a_thread_move_together(rng):
    moved = patterns.threads(rng, 4, 5.0, 32.0)
    assert (moved == moved[:1]).all()
    assert (moved[0].reshape(-1, 4) == moved[0, ::4, None]).all()
    assert np.abs(moved).max() <= 1.35 * 5.0


def test_truchet_bands_join_at_the_borders_of_tiles(rng):
    line, _ = patterns.arcs(rng, 16, 4.0)
    assert np.allclose(line[:, 15], line[:, 16], atol=0.1)
    assert np.allclose(line[15], line[16], atol=0.1)


def test_a_relief_is_lit_from_its_angle():
    height = np.broadcast_to(np.linspace(0, 4, SIZE, dtype=np.float32), (SIZE, SIZE))
    assert patterns.emboss(height, 0.0, 1.0)[60, 60] > 0.2
    assert patterns.emboss(height, np.pi, 1.0)[60, 60] < -0.2
    assert abs(patterns.emboss(height, np.pi / 2, 1.0)[60, 60]) < 1e-3


def test_plates_without_ink_leave_the_paper(rng):
    white = np.ones((SIZE, SIZE, 3), np.float32)
    paper = np.array([0.9, 0.8, 0.7], np.float32)
    assert np.allclose(patterns.plates(white, rng, 3.0, np.zeros((3, 3), np.float32), paper), paper)


@pytest.mark.parametrize(
    "draw",
    [
        lambda image, rng: patterns.beads(image, rng, 9.0, np.zeros(3, np.float32)),
        lambda image, rng: patterns.stitches(image, rng, 10.0, 7.0),
        lambda image, rng: patterns.leaves(image, rng, 8.0, 60, np.zeros((SIZE, SIZE), np.float32), image),
        lambda image, rng: patterns.disc_plate(image, rng, 8.0, 3.0, 0.5 * image),
        lambda image, rng: patterns.crosses(image, rng, 8, 3.0)[0],
        lambda image, rng: patterns.ripples(image, rng, 10.0, 2.0)[0],
    ],
)
def test_pictures_keep_size_and_range(draw, image, rng):
    drawn = draw(image, rng)
    assert drawn.shape == (SIZE, SIZE, 3)
    assert (drawn.dtype, drawn.min() >= 0, drawn.max() <= 1) == (np.float32, True, True)
