from __future__ import annotations

import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloakbench_leaderboards.history import steps
from cloakbench_leaderboards.history.steps import fit, has_regressed


def bounds(values, least=0.1):
    return [(piece.start, piece.stop) for piece in fit(values, least)]


def test_examples():
    assert doctest.testmod(steps).failed == 0


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([], []),
        ([0.5], [(0, 1)]),
        ([0.5, 0.5, 0.5], [(0, 3)]),
        ([0.5, 0.2], [(0, 1), (1, 2)]),
        ([0.5, 0.45], [(0, 2)]),  # smaller than what matters
        ([0.5, 0.51, 0.49, 0.5, 0.3, 0.31, 0.29], [(0, 4), (4, 7)]),
        ([0.5, 0.502, 0.3], [(0, 2), (2, 3)]),
        ([0.2, 0.2, 0.5, 0.5, 0.1, 0.1], [(0, 2), (2, 4), (4, 6)]),
        ([0.1, 0.4, 0.2, 0.5, 0.15, 0.45, 0.1, 0.4], [(0, 8)]),  # as noisy as that, nothing stands out
    ],
)
def test_hand_made_series(values, found):
    assert bounds(values) == found


def test_levels_are_means_and_a_regression_is_against_the_best_level():
    pieces = fit([0.3, 0.3, 0.6, 0.62, 0.4, 0.42], 0.1)
    assert [piece.level for piece in pieces] == pytest.approx([0.3, 0.61, 0.41])
    assert has_regressed(pieces, 0.1)
    assert not has_regressed(fit([0.3, 0.3, 0.6, 0.6], 0.1), 0.1)
    assert not has_regressed([], 0.1)


def test_a_step_of_just_what_matters_between_two_points():
    assert bounds([0.5, 0.5 - 0.101]) == [(0, 1), (1, 2)]
    assert bounds([0.5, 0.5 - 0.099]) == [(0, 2)]


def test_noise_alone_seldom_steps_and_a_step_of_four_times_the_noise_is_found_where_it_is():
    rng = np.random.default_rng(1)
    flat = [len(fit(rng.normal(0.5, 0.05, 20), 0.02)) > 1 for _ in range(200)]
    assert np.mean(flat) <= 0.1
    stepped = []
    for _ in range(100):
        stepped.append(fit(rng.normal(0, 0.05, 20) + 0.2 * (np.arange(20) >= 12), 0.02))
    assert np.mean([any(abs(piece.start - 12) <= 1 for piece in pieces[1:]) for pieces in stepped]) >= 0.9


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=12), st.floats(-3, 3))
def test_pieces_cover_the_series_and_moving_it_moves_levels_alone(values, shift):
    pieces = fit(values, 0.1)
    assert [piece.start for piece in pieces] == [0, *(piece.stop for piece in pieces[:-1])]
    assert pieces[-1].stop == len(values)
    moved = fit([value + shift for value in values], 0.1)
    assert sum(piece.level * (piece.stop - piece.start) for piece in moved) == pytest.approx(
        sum(values) + shift * len(values)
    )
    assert len(moved) == len(pieces) or len(values) > 2
