"""The script that measures every attack for the choice of a suite's: its suite is sound, its table is arithmetic."""

from __future__ import annotations

import pytest

from cloakbench.attacks import catalogue
from cloakbench.schemas.record import StageCost
from cloakbench.suites import load as suites
from cloakbench.suites.check import check
from tests.benchmarks import attack_choice
from tests.leaderboards import synthetic
from tests.leaderboards.synthetic import FLOOR, JPEG, record

EDITING = {"edit", "edit-instruct", "inpaint", "inpaint-box"}


def test_the_suite_names_every_stage_and_builds_it():
    for attacked, other in (attack_choice.HALVES, attack_choice.HALVES[::-1]):
        suite = attack_choice.half(attacked, other)
        check(suite)
        catalogue.check(suite)
        stages = set()
        for attack in suite.attacks:
            for stage in catalogue.stages(attack):
                stages.add(stage.name)
        assert stages == {stage.name for stage in catalogue.STAGES} - EDITING
        assert not set(suite.artists) & set(suite.matching.artists)


def test_settings_are_those_of_mini():
    suite, mini = attack_choice.half(*attack_choice.HALVES), suites.load("mini")
    assert suite.metrics.primary == mini.metrics.primary
    assert suite.sampling == mini.sampling
    for stage, table in mini.mimicry.items():
        assert suite.mimicry[stage] == table
    for variant in ("dreambooth-augmented", "dreambooth-decoupled", "cat"):
        assert mini.mimicry["dreambooth"].items() <= suite.mimicry[variant].items()
    extended = suites.load("mini-extended")
    for stage, table in extended.countermeasures.items():
        assert suite.countermeasures[stage] == table
    assert extended.packages == suite.packages


def test_the_table_says_what_an_attack_undoes_damages_and_costs():
    # clean 0.4, floor 0.8: P is 0.5 without and 0.2 under jpeg, which costs clean images 0.1 of the way.
    spent = {"countermeasure": StageCost(wall_s=9, device_s=6, peak_bytes=0, cached=False)}
    digests = {"protect": ["a" * 64] * 3}
    records = [
        record("floor", "a", 0.8, attack=FLOOR),
        record("identity", "a", 0.4),
        record("identity", "a", 0.44, attack=JPEG, damage={"psnr": [30.0, 40.0]}),
        record("x", "a", 0.6, digests=digests),
        record("x", "a", 0.48, attack=JPEG, cost=spent, digests=digests),
    ]
    rows = {row.attack: row for row in attack_choice.table(records, "style-distance")}
    jpeg = rows["jpeg"]
    assert (jpeg.protection, jpeg.undone, jpeg.clean_distance) == pytest.approx((0.2, 0.6, 0.1))
    assert (jpeg.damage, jpeg.seconds) == ({"psnr": 35.0}, 2.0)
    assert rows["dreambooth"].undone == 0
    lines = list(attack_choice.markdown(list(rows.values())))
    assert any("`jpeg`" in line and "60%" in line and "2.0" in line for line in lines)
    assert synthetic.PLAIN.name == attack_choice.PLAIN
    useless = [*records[:3], record("x", "a", 0.39, digests=digests), *records[4:]]
    assert attack_choice.table(useless, "style-distance") == []
