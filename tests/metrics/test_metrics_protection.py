from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from benchmark.errors import UserError
from benchmark.metrics import catalogue, judge
from benchmark.metrics.protection import frechet, kid, measure_generations, measure_sets, style_distance


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


@pytest.mark.parametrize("metric", [frechet, kid])
def test_one_image_is_no_set(metric):
    with pytest.raises(ValueError, match="at least 2 images in each set, got 1 and 5"):
        metric(sample(1, 3, 0), sample(5, 3, 1))
    with pytest.raises(ValueError, match="got 5 and 1"):
        metric(sample(5, 3, 0), sample(1, 3, 1))


def test_style_distance_by_hand():
    #  angles to the references (1, 0) and (0, 1): mean cosine of (1, 0) is 1/2, of (0.6, 0.8) it is 0.7
    references = torch.tensor([[1.0, 0], [0, 1.0]])
    features = torch.tensor([[1.0, 0], [0.6, 0.8], [-1.0, 0]])
    assert style_distance(features, references).tolist() == pytest.approx([0.5, 0.3, 1.5])


@pytest.fixture
def features(stand_ins):
    """The judge, and five generations and twelve references as unit vectors that lie well apart."""
    drawn = torch.randn(17, 16, generator=torch.Generator().manual_seed(0))
    return judge.load(), *torch.nn.functional.normalize(drawn).split([5, 12])


def test_per_image_metrics_follow_the_judges_answers(features, monkeypatch):
    shown, made, references = features
    monkeypatch.setattr(shown, "named_style", lambda _: ["stained glass", "swirl", "stained glass", "x", "y"])
    names = ["style-distance", "style-accuracy"]
    found = measure_generations(names, shown, made, references, "stained-glass")
    assert found["style-accuracy"] == [1, 0, 1, 0, 0]
    assert found["style-distance"] == style_distance(made, references).tolist()
    assert measure_generations(["style-distance"], shown, made, references, "stained-glass").keys() == {
        "style-distance"
    }


def test_set_metrics_are_on_the_judges_features(features):
    shown, made, references = features
    found = measure_sets(["frechet", "kid"], shown, made, references)
    x, y, axes = (t.double().numpy() for t in (made, references, shown.projection))
    assert found["frechet"] == pytest.approx(frechet_by_sqrtm(x @ axes, y @ axes), rel=1e-5)
    assert found["frechet"] > 0.05
    assert found["kid"] == pytest.approx(kid_by_loops(4 * x, 4 * y), abs=1e-9)  # 16 features: length 4 each
    assert list(measure_sets([], shown, made, references)) == []


def test_an_unknown_metric_names_the_nearest():
    with pytest.raises(UserError, match=r"expected a metric .*got 'psnrr'") as caught:
        catalogue.find("psnrr")
    assert "Did you mean 'psnr'?" in caught.value.hint


def test_metric_facts_are_complete():
    assert len(catalogue.BY_NAME) == len(catalogue.METRICS)
    for facts in catalogue.METRICS:
        assert facts.summary.endswith(".")
        assert facts.version >= 1
        assert facts.low is None or facts.high is None or facts.low < facts.high
    assert catalogue.versions(["psnr", "kid"]) == {
        "psnr": catalogue.find("psnr").version,
        "kid": catalogue.find("kid").version,
    }
