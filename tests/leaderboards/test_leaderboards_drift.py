from __future__ import annotations

import itertools
import math

from synthetic import record

from cloakbench_leaderboards.versions.drift import Drift, drift

FIRST = record("identity", "a", [0.2, 0.4], digests={"protect": ["1" * 64], "generate": ["2" * 64, "3" * 64]})


def again(**changes):
    return FIRST.model_copy(update={"created": "2026-02-01T00:00:00+00:00", **changes})


def test_the_same_images_and_values_are_no_drift():
    [drifts] = drift([FIRST], [again()], "style-distance")
    assert drifts.is_same
    assert (drifts.distance, drifts.stages, drifts.metric, drifts.again[:7]) == (0.0, (), "", "2026-02")


def test_drift_says_which_stage_and_how_much():
    moved = again(
        digests={"protect": ["1" * 64], "generate": ["2" * 64, "9" * 64]},
        generations={"style-distance": [0.2, 0.5], "accuracy": FIRST.generations["accuracy"]},
        sets={"frechet": 3.0 + 0.003, "kid": 0.003},
        environment=FIRST.environment.model_copy(update={"packages": {"torch": "2.9", "numpy": "2.4"}}),
    )
    [drifts] = drift([FIRST], [moved], "style-distance")
    assert drifts.stages == ("generate",)
    # (0.2 + 0.5) / 2 - (0.2 + 0.4) / 2; the value moved by a quarter of itself, Fréchet by a thousandth
    assert math.isclose(drifts.distance, 0.05)
    assert drifts.metric == "style-distance"
    assert math.isclose(drifts.most, 0.1)
    assert drifts.environment == (
        ("diffusers", "0.35", "absent"),
        ("numpy", "absent", "2.4"),
        ("pillow", "11.0", "absent"),
    )
    assert not drifts.is_same


def test_only_the_same_key_and_class_count_in_any_order():
    other = FIRST.environment.model_copy(update={"env_class": "other"})
    elsewhere = again(environment=other)
    unknown = again(key="f" * 64)
    later = FIRST.model_copy(update={"created": "2026-01-09T00:00:00+00:00", "generations": {"style-distance": [9.0]}})
    for records in itertools.permutations([FIRST, later]):
        for canaries in itertools.permutations([again(), elsewhere, unknown]):
            found: list[Drift] = drift(list(records), list(canaries), "style-distance")
            assert [each.is_same for each in found] == [True]


def test_a_metric_that_is_gone_is_told():
    [drifts] = drift([FIRST], [again(sets={})], "style-distance")
    assert (drifts.metric, drifts.most) == ("frechet", math.inf)
