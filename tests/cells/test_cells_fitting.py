"""Equal quality on the artist's own images: whole levels, a fractional step, and what a run records of both."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from running import run

from cloakbench.cells.fitting import LEAST_USE, fit, fractional_step, scaled, use_of_limits, whole_level
from cloakbench.cells.ordering import select
from cloakbench.datasets import artists
from cloakbench.metrics import quality
from cloakbench.schemas.kinds import Status
from cloakbench.suites import load as suites

OWN = tiny.MATCHING.replace("tolerance", "own_images = true\ntolerance")


def test_limits_are_used_from_unchanged_images_on():
    limits = {"mini-lpips": 0.08, "psnr": 30.0, "ssim": 0.9}
    use = use_of_limits(limits, {"mini-lpips": 0.04, "psnr": 30.0 + 10 * math.log10(4), "ssim": 0.975})
    assert use == pytest.approx({"mini-lpips": 0.5, "psnr": 0.25, "ssim": 0.25}, abs=1e-5)
    assert set(use_of_limits(limits, limits).values()) == {1.0}


@given(st.floats(0.3, 4.0), st.floats(0.01, 30.0))
def test_the_level_is_the_strongest_that_keeps_the_limit_or_the_next_one(exponent, size):
    tries = []

    def measure(strength):
        tries.append(strength)
        return {"gmsd": 0.05 * size * strength**exponent}

    level = whole_level({"gmsd": 0.05}, 16, measure)
    use = [size * (number / 16) ** exponent for number in range(17)]
    if use[16] <= 1:
        assert level == 16
    elif use[level] <= 1 + 1e-6:
        assert use[level] >= LEAST_USE - 1e-6
        assert use[level + 1] > 1 - 1e-6
    else:
        assert use[level - 1] < LEAST_USE + 1e-6
    assert len(tries) == len(set(tries))


@given(st.integers(0, 64), st.integers(1, 16))
@settings(max_examples=30)
def test_a_share_of_a_change_keeps_its_mean_and_no_value_changes_more(share, level):
    rng = np.random.default_rng(share)
    before = rng.integers(20, 230, (64, 64, 3)).astype(np.uint8)
    change = rng.choice([-level, 0, level], before.shape)
    after = (before + change).astype(np.uint8)
    [image] = scaled([before], [after], share / 64)
    kept = image.astype(int) - before
    assert (np.abs(kept) <= np.abs(change)).all()
    assert (kept * change >= 0).all()
    # 12,288 values, each rounded with a standard deviation of at most 0.5.
    assert np.mean(kept * np.sign(change)) == pytest.approx(np.abs(change).mean() * share / 64, abs=0.02)


def test_the_step_takes_the_largest_share_that_keeps_all_limits():
    before = np.full((32, 32, 3), 100, np.uint8)

    def measure(images):
        change = images[0].astype(float) - before
        return {"linf": np.abs(change).max(), "psnr": 10 * math.log10(255**2 / max(np.mean(change**2), 1e-9))}

    # The limit of the squared error is that of 6 levels everywhere: 36; that of the largest change is 8.
    limits = {"linf": 8.0, "psnr": 10 * math.log10(255**2 / 36)}
    step = fractional_step(limits, [before], [before + 10], measure)
    assert 0.9 < step.use <= 1
    assert step.share == pytest.approx(0.6, abs=0.03)
    assert fractional_step(limits, [before], [before + 3], measure).share == 1


class Refusing(tiny.Brighter):
    def protect(self, images, request):
        raise AssertionError("asked again")


@pytest.fixture
def own(stand_ins, tmp_path):
    """Plans a run of one attack whose strengths are sought on each artist's own images."""
    path = tmp_path / "tiny.toml"
    path.write_text(tiny.TEXT + OWN)

    def planned(*entries):
        session = tiny.session(path, tmp_path / "store", entries)
        session.cells[:] = [cell for cell in select(session.cells, ["attack=dreambooth"]) if cell.target is not None]
        return session

    return planned


def test_a_run_seeks_each_artists_strength_and_records_it(own):
    session = own(tiny.entry("good"))
    records = run(session)
    assert {record.status for record in records} == {Status.OK}
    # 8 of 16 levels meet the target of 8 levels exactly: no fractional step.
    assert {record.strength for record in records} == {0.5}
    assert {tuple(record.quality["linf"]) for record in records} == {(8.0,) * 3}
    recipes = [cell.recipes.calibrate for cell in session.cells]
    assert {recipe.levels for recipe in recipes} == {16}
    for recipe in recipes:
        assert len(recipe.orders) == 1
        assert len(recipe.orders[0].images) == 1
    # Again from the store, after the records are gone: nothing is asked anew, and the strength is the same.
    for path in session.store.records():
        path.unlink()
    assert {record.strength for record in run(own(tiny.entry("good", Refusing())))} == {0.5}


CHEAP = {
    "brighter": lambda image, level, rng: np.full(image.shape, level),
    "signs": lambda image, level, rng: rng.choice([-level, level], image.shape),
    "normal": lambda image, level, rng: np.clip(np.rint(rng.normal(0, level / 2, image.shape)), -level, level),
    "blocks": lambda image, level, rng: np.kron(
        rng.choice([-level, level], (image.shape[0] // 8, image.shape[1] // 8, 3)), np.ones((8, 8, 1))
    ),
}
"""Changes of at most so many levels, in place of protections."""


def protected(kind, images, level):
    rng = np.random.default_rng(0)
    changed = []
    for image in images:
        changed.append(np.clip(image + CHEAP[kind](image, level, rng), 0, 255).astype(np.uint8))
    return changed


def reached(kind, artist, suite, limits):
    """Level and fractional step of a change on an artist's images."""

    def mean(changed, originals):
        values = quality.measure(list(limits), changed, originals)
        return {name: float(np.mean(of_images)) for name, of_images in values.items()}

    # Without a surrogate's help the budget of 16 levels reaches no limit on most artists.
    levels, shown = 3 * suite.budget_255, artist.images[: suite.matching.images_per_artist]
    first = whole_level(limits, levels, lambda s: mean(protected(kind, shown, round(s * levels)), shown))
    return fit(
        limits,
        range(first, levels + 1),
        artist.images,
        lambda level: protected(kind, artist.images, level),
        lambda changed: mean(changed, artist.images),
    )


def test_nine_of_ten_development_artists_and_changes_end_within_a_tenth_under_a_limit():
    suite = suites.load("mini")
    limits = suite.matching.limits(suite.matching.targets[1])
    assert len(limits) == 3
    few = {"artists": suite.matching.artists, "images_per_artist": 2}
    development = artists.load(suite.model_copy(update=few), None, 128)
    uses = []
    for artist in development:
        for kind in CHEAP:
            level, step = reached(kind, artist, suite, limits)
            assert step.use <= 1
            if level < 3 * suite.budget_255 or step.share < 1:
                uses.append(step.use)
    assert len(uses) >= 10
    assert np.mean([use >= LEAST_USE for use in uses]) >= 0.9
