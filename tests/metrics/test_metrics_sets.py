from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import sqrtm

from cloakbench.errors import UserError
from cloakbench.metrics.sets import cmmd, frechet, kid, precision, recall

ALL = [frechet, kid, cmmd, precision, recall]


def sample(n, d, seed, shift=0.0):
    return np.random.default_rng(seed).normal(shift, 1.0 + 0.2 * seed, (n, d))


def frechet_by_sqrtm(x, y):
    c, k = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    return float(((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(c + k - 2 * sqrtm(c @ k).real))


@pytest.mark.parametrize(("n", "m", "d"), [(40, 30, 8), (24, 12, 8), (200, 100, 3)])
def test_frechet_is_the_formula_with_a_matrix_root(n, m, d):
    x, y = sample(n, d, 0), sample(m, d, 1, 0.5)
    assert frechet(x, y) == pytest.approx(frechet_by_sqrtm(x, y), rel=1e-6)
    assert frechet(y, x) == pytest.approx(frechet(x, y), rel=1e-9)


def test_frechet_of_a_moved_set_is_the_squared_move():
    x = sample(20, 4, 0)
    assert frechet(x, x) == pytest.approx(0, abs=1e-9)
    assert frechet(x, x + np.array([3.0, 0, 4.0, 0])) == pytest.approx(25)


def test_frechet_needs_no_more_images_than_two():
    # One dimension: means 1 and 5, deviations sqrt(2) and sqrt(8): 16 + (sqrt(8) - sqrt(2))^2 = 18
    assert frechet(np.array([[0.0], [2.0]]), np.array([[3.0], [7.0]])) == pytest.approx(18)


def kid_by_loops(x, y):
    d = x.shape[1]

    def k(a, b):
        return (float(a @ b) / d + 1) ** 3

    inside_x = [k(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j]
    inside_y = [k(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j]
    across = [k(a, b) for a in x for b in y]
    return np.mean(inside_x) + np.mean(inside_y) - 2 * np.mean(across)


@pytest.mark.parametrize(("n", "m", "d"), [(5, 7, 3), (24, 12, 64), (2, 2, 1)])
def test_kid_is_the_double_loop(n, m, d):
    x, y = sample(n, d, 0), sample(m, d, 1, 0.3)
    assert kid(x, y) == pytest.approx(kid_by_loops(x, y), rel=1e-9)


def test_kid_is_unbiased():
    rng = np.random.default_rng(0)
    values = [kid(rng.normal(size=(10, 4)), rng.normal(size=(12, 4))) for _ in range(400)]
    assert abs(np.mean(values)) < 3 * np.std(values) / 400**0.5
    assert min(values) < 0


@pytest.mark.parametrize("metric", [frechet, kid, cmmd])
def test_one_image_is_no_set(metric):
    with pytest.raises(UserError, match="at least 2 images in each set, got 1 and 5"):
        metric(sample(1, 3, 0), sample(5, 3, 1))
    with pytest.raises(UserError, match="got 5 and 1"):
        metric(sample(5, 3, 0), sample(1, 3, 1))


def cmmd_by_loops(x, y):
    def k(a, b):
        return np.exp(-sum((p - q) ** 2 for p, q in zip(a, b, strict=True)) / 200)

    def mean(first, second):
        return np.mean([k(a, b) for a in first for b in second])

    return 1000 * (mean(x, x) + mean(y, y) - 2 * mean(x, y))


@pytest.mark.parametrize(("n", "m", "d"), [(5, 7, 3), (9, 4, 16)])
def test_cmmd_is_the_double_loop(n, m, d):
    x, y = sample(n, d, 0), sample(m, d, 1, 0.3)
    assert cmmd(x, y) == pytest.approx(cmmd_by_loops(x, y), rel=1e-9)


def test_cmmd_by_hand():
    # Each set one point twice, sqrt(200) apart: kernels 1, 1 and exp(-1)
    x, y = np.zeros((2, 1)), np.full((2, 1), 200**0.5)
    assert cmmd(x, y) == pytest.approx(2000 * (1 - np.exp(-1)))


def precision_by_loops(x, y, k):
    hits = 0
    for a in x:
        inside = False
        for i, b in enumerate(y):
            others = sorted(np.linalg.norm(b - c) for j, c in enumerate(y) if j != i)
            inside |= np.linalg.norm(a - b) <= others[k - 1]
        hits += inside
    return hits / len(x)


@pytest.mark.parametrize(("n", "m", "k"), [(30, 20, 3), (7, 4, 3), (12, 12, 1)])
def test_precision_and_recall_are_the_loops(n, m, k):
    x, y = sample(n, 2, 0), sample(m, 2, 1, 2.5)
    assert precision(x, y, k) == precision_by_loops(x, y, k)
    assert recall(x, y, k) == precision_by_loops(y, x, k)


def test_precision_and_recall_by_hand():
    # Each of the four references reaches to its third nearest: 3, 2, 2, 3
    references = np.array([[0.0], [1.0], [2.0], [3.0]])
    assert precision(np.array([[-3.0], [-3.5], [5.9], [1.5]]), references) == 0.75
    # Generations at one place reach nowhere: no reference lies there but the one at 1
    assert recall(np.ones((4, 1)), references) == 0.25


@pytest.mark.parametrize("metric", ALL)
def test_order_changes_nothing(metric):
    x, y = sample(12, 5, 0), sample(9, 5, 1, 0.5)
    rng = np.random.default_rng(7)
    assert metric(rng.permutation(x), rng.permutation(y)) == pytest.approx(metric(x, y), rel=1e-9)


@pytest.mark.parametrize(("metric", "ideal"), [(frechet, 0), (cmmd, 0), (precision, 1), (recall, 1)])
def test_equal_sets_are_ideal(metric, ideal):
    x = sample(20, 6, 0)
    assert metric(x, x) == pytest.approx(ideal, abs=1e-9)


def test_equal_sets_have_no_more_kernel_distance_than_chance():
    """It leaves out each image's kernel with itself from one part only: below 0 for equal sets, by that."""
    x = sample(20, 6, 0)
    assert kid(x, x) < 0


@pytest.mark.parametrize("metric", ALL)
@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.zeros((0, 3)), np.zeros((5, 3)), "expected at least .* images.*, got 0 and 5"),
        (np.zeros((5, 3)), np.zeros((5, 4)), r"expected two sets of features .* got \[5, 3\] and \[5, 4\]"),
        (np.zeros(5), np.zeros((5, 1)), r"got \[5\] and \[5, 1\]"),
        (np.zeros((5, 0)), np.zeros((5, 0)), r"got \[5, 0\] and \[5, 0\]"),
        (np.full((5, 3), np.nan), np.zeros((5, 3)), "expected finite features"),
    ],
)
def test_misuse_is_told(metric, x, y, message):
    with pytest.raises(UserError, match=message):
        metric(x, y)


def test_a_neighbourhood_needs_neighbours():
    with pytest.raises(UserError, match="expected at least 1 and 4 images, got 9 and 3"):
        precision(sample(9, 2, 0), sample(3, 2, 1))
    with pytest.raises(UserError, match="expected at least 4 and 1 images, got 3 and 9"):
        recall(sample(3, 2, 0), sample(9, 2, 1))
