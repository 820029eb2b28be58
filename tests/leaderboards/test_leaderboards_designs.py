"""The table of designs: its hours against hand arithmetic, and its resolution against power by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tests.benchmarks.designs import CEILING_H, Basis, Design, basis, hours, least_differences

KNOWN = Basis({"a": 100.0, "b": 300.0, "c": 500.0}, 20.0, np.array([0.2]))


def test_hours_are_those_of_hand_arithmetic():
    protecting, cells = hours(Design(10, 1, 5, 1), KNOWN, 12.0)
    assert protecting == pytest.approx(10 * 900 * (2.3 + 1) / 3600)
    # 3 entries with 6 cells, identity and placebo with 3 x 5 each, noise with 6; six times 20 s of cleaning.
    assert cells == pytest.approx(10 * ((18 + 30 + 6) * 12 + 6 * 20) / 3600)
    fewer = hours(Design(10, 1, 5, 1, is_complete=False), KNOWN, 12.0)
    assert fewer[0] == pytest.approx(10 * 100 * 3.3 / 3600)


@pytest.mark.parametrize(("artists", "seeds"), [(12, 1), (16, 1), (16, 2)])
def test_a_difference_of_the_least_size_is_found_four_times_in_five(artists, seeds):
    [least] = least_differences(Design(artists, seeds, 5, 1), KNOWN)
    rng = np.random.default_rng(artists)
    between = rng.normal(least, 0.2 * np.sqrt(0.85), (20_000, artists))
    noise = rng.normal(0, 0.2 * np.sqrt(0.15), (20_000, seeds, artists)).mean(1)
    is_shown = stats.ttest_1samp(between + noise, 0.0, axis=1).pvalue < 0.05
    assert 0.77 <= is_shown.mean() <= 0.83


def test_the_design_that_the_readme_names_fits_the_ceiling():
    known = basis()
    assert len(known.protect) >= 14
    assert sum(hours(Design(12, 1, 5, 1), known, 15.0)) <= CEILING_H
    assert sum(hours(Design(16, 1, 5, 3), known, 10.0)) > CEILING_H
    assert np.median(least_differences(Design(12, 1, 5, 1), known)) > np.median(
        least_differences(Design(16, 1, 5, 1), known)
    )
