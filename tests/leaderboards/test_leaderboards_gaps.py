"""Which cells a board asks of an entry, and what it says of those that are absent."""

from __future__ import annotations

import math

import pytest
import synthetic
from synthetic import EDIT, JPEG, PLAIN, arms, edited, lost, record

from cloakbench.schemas.kinds import BudgetKind, Status
from cloakbench.schemas.suite_tables import Matching
from cloakbench_leaderboards.data import coverage
from tests.leaderboards.two_artists import ARMS, TWO, cells


def test_gaps_name_what_is_absent_and_what_failed():
    records = [*ARMS, lost("x", "b", Status.FAILED, "it broke")]
    gaps = coverage.gaps(cells(records), TWO, TWO.artists)
    assert [(gap.protection, gap.status, gap.reason, gap.artists) for gap in gaps] == [
        ("x", "absent", "no record yet", ("a",)),
        ("x", "failed", "it broke", ("b",)),
    ]


def test_an_edit_is_asked_of_those_that_protect_and_of_no_other_arm():
    suite = synthetic.suite(["a"], (PLAIN, EDIT), rank_by="dreambooth")
    records = [*arms("a", 0.4, 0.8), record("x", "a", 0.5), record("y", "a", 0.5), edited("y", "a", [0.9])]
    records += [edited("placebo", "a", [1.0]), record("random-noise", "a", 0.4)]
    gaps = coverage.gaps(cells(records), suite, suite.artists)
    assert [(gap.protection, gap.attack) for gap in gaps] == [("random-noise", "edit"), ("x", "edit")]


def of_budget(name: str, budget: str) -> dict[str, object]:
    facts = record(name, "a", 0.5).protection
    return {"protection": facts.model_copy(update={"budget": BudgetKind(budget)})}


@pytest.mark.parametrize(
    ("budget", "strengths"),
    [("linf", [(0.5, 1.0), (math.nan,)]), ("perceptual", [(math.nan,)]), ("ready-made", [(0.5, 1.0)])],
)
def test_each_budget_is_asked_for_its_own_operating_points(budget, strengths):
    rules = Matching(metric="mini-lpips", targets=[0.1, 0.2, 0.3], calibrated=[0.2], tolerance=0.01)
    suite = synthetic.suite(["a"], strengths=(0.5, 1.0), matching=rules)
    lone = record("x", "a", 0.5, strength=0.75, **of_budget("x", budget))
    [gap] = coverage.gaps(cells([lone]), suite, suite.artists)
    assert repr(gap.strengths) == repr(tuple(s for group in strengths for s in group))


def test_a_strength_that_was_sought_is_asked_of_every_attack():
    rules = Matching(metric="mini-lpips", targets=[0.1, 0.2, 0.3], calibrated=[0.2], tolerance=0.01)
    suite = synthetic.suite(["a"], (PLAIN, JPEG), matching=rules)
    facts = of_budget("x", "perceptual")
    gaps = coverage.gaps(cells([record("x", "a", 0.5, strength=0.75, target=0.2, **facts)]), suite, suite.artists)
    assert [(gap.attack, gap.strengths) for gap in gaps] == [("jpeg", (0.75,))]
