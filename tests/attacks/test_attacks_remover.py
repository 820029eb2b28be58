"""The learned remover on a planted perturbation, and its detector."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tiny
from purifying import around, build

from cloakbench.attacks import catalogue
from cloakbench.attacks.context import Pairs
from cloakbench.attacks.detection import true_positive_rate
from cloakbench.errors import UserError
from cloakbench.schemas.suite import AttackSpec

SETTINGS = {"steps": 60, "width": 16, "depth": 3, "patch": 24}
OTHERS = [tiny.picture(100 + n, 48, 48) for n in range(6)]
CLEAN = [tiny.picture(n, 40, 56) for n in range(4)]


def planted(images, seed):
    """A perturbation that every image has in other places, as a protection's: signs of 8 levels."""
    rng = np.random.default_rng(seed)
    return [(pixels + rng.choice([-8, 8], pixels.shape)).astype(np.uint8) for pixels in images]


@pytest.fixture(scope="module")
def context():
    pairs = Pairs(OTHERS, planted(OTHERS, 1))
    return replace(around(range(4)), pairs=lambda: pairs)


def energy(images):
    pairs = zip(images, CLEAN, strict=True)
    return sum(float(np.square(x.astype(int) - y.astype(int)).sum()) for x, y in pairs)


def test_it_removes_a_planted_perturbation_from_images_it_has_not_seen(context):
    protected = planted(CLEAN, 2)
    remover = build("learned-remover", **SETTINGS)
    assert energy(remover.apply(protected, context)) < 0.3 * energy(protected)
    assert energy(remover.apply(CLEAN, context)) < 0.1 * energy(protected)


def test_its_detector_tells_protected_images_from_clean_ones(context):
    remover = build("learned-remover", **SETTINGS)
    clean, protected = (remover.detect(images, context) for images in (CLEAN, planted(CLEAN, 2)))
    assert true_positive_rate(clean, protected) == 1
    assert true_positive_rate(clean, clean) == 0
    assert np.mean(protected) == pytest.approx(8, rel=0.4)


def test_pairs_without_a_difference_change_nothing():
    pairs = Pairs(OTHERS, OTHERS)
    context = replace(around(range(4)), pairs=lambda: pairs)
    cleaned = build("learned-remover", **{**SETTINGS, "steps": 5}).apply(CLEAN, context)
    assert np.array_equal(cleaned, CLEAN)


def test_the_threshold_lets_one_clean_image_of_a_hundred_pass():
    clean = [float(n) for n in range(200)]
    assert true_positive_rate(clean, [197.5, 196.5, 198.0]) == pytest.approx(2 / 3)


def test_it_needs_pairs_and_says_so_in_its_label():
    with pytest.raises(UserError, match="pairs"):
        build("learned-remover", steps=1).apply(CLEAN, around(range(4)))
    with pytest.raises(UserError, match="depth"):
        build("learned-remover", steps=1, depth=1)
    spec = AttackSpec(name="x", countermeasure="learned-remover", mimicry="dreambooth", model="mini-a")
    assert catalogue.knowledge(spec) == "pairs"
