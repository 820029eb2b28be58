"""Comparisons of synthetic and committed records: what is paired, what is told, and how often nothing is called one."""

from __future__ import annotations

import random

import numpy as np
import pytest
import synthetic
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from synthetic import record
from versions import FACTS, FEW, RECORDS, version, weaker

from cloakbench.errors import UserError
from cloakbench.schemas.kinds import Status
from cloakbench_leaderboards.versions.references import parse
from cloakbench_leaderboards.versions.verdicts import Verdict
from tests.leaderboards.compared import compared

MIRROR = {Verdict.REGRESSED: Verdict.IMPROVED, Verdict.IMPROVED: Verdict.REGRESSED}


def verdicts(found):
    return {attack.attack: attack.verdict for attack in found.attacks}


def test_a_planted_regression_is_found_under_the_attacks_that_it_weakens():
    comparison = compared(RECORDS, version(RECORDS, "1.1", weaker(0.25)))
    planted = []
    for attack in comparison.attacks:
        if attack.attack in ("dreambooth", "jpeg", "lora"):
            planted.append(attack)
    for planted_record in planted:
        assert planted_record.change <= -2 * planted_record.least
    assert {planted_record.verdict for planted_record in planted} == {Verdict.REGRESSED}
    assert {verdicts(comparison)[name] for name in ("blur", "noise")} == {Verdict.EQUIVALENT}
    assert comparison.verdict is Verdict.REGRESSED
    # P of the plain attack: 0.5 x (0.25^0.7 + 0.5^0.7 + 1) / 3 of the way, then a quarter of it; 0.01 of spread
    [plain] = [planted_record for planted_record in planted if planted_record.attack == "dreambooth"]
    assert plain.before == pytest.approx(0.5 * (0.25**0.7 + 0.5**0.7 + 1) / 3, abs=0.05)
    assert plain.after == pytest.approx(plain.before / 4, abs=0.01)
    assert (plain.at, plain.artists, plain.seeds, plain.reason) == ("strength 0.25, 0.5, 1", 8, 1, "")


def test_the_changed_component_is_named():
    before = version(RECORDS, "1.0")
    comparison = compared(before, version(RECORDS, "1.1"))
    assert [(change.component, change.field) for change in comparison.changes] == [("code", "protect.package")]
    assert len(comparison.changes[0].attacks) == 5


@settings(max_examples=5, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 1000))
def test_order_is_irrelevant_and_swapping_mirrors(seed):
    rng = random.Random(seed)
    after = version(FEW, "1.1", weaker(rng.uniform(0.2, 1.8), rng.sample(["dreambooth", "jpeg", "blur"], 2)))
    first = compared(FEW, after)
    shuffled = [rng.sample(cell_record, len(cell_record)) for cell_record in (FEW, after)]
    assert compared(*shuffled) == first
    swapped = compared(after, FEW)
    assert verdicts(swapped) == {name: MIRROR.get(verdict, verdict) for name, verdict in verdicts(first).items()}
    assert [attack.change for attack in swapped.attacks] == pytest.approx([-attack.change for attack in first.attacks])


def test_only_cells_of_one_artist_point_and_seed_are_paired():
    seeds = []
    for cell_record in RECORDS:
        if cell_record.protection.name == "photoguard":
            seeds.append(record("photoguard", cell_record.artist, 0.9, seed=1))
    comparison = compared([*RECORDS, *seeds[:1]], RECORDS)
    assert {attack.verdict for attack in comparison.attacks} == {Verdict.EQUIVALENT}
    assert "cells without a partner after: dreambooth 1" in comparison.notes
    few = []
    for cell_record in RECORDS:
        if cell_record.protection.name != "photoguard" or cell_record.strength == 1.0:
            few.append(cell_record)
    assert compared(RECORDS, few).attacks[0].at == "strength 1"


def test_a_strength_that_few_artists_have_leaves_the_others_in():
    partial = []
    for cell_record in RECORDS:
        if (
            cell_record.protection.name != "photoguard"
            or cell_record.strength == 1.0
            or cell_record.artist == "artist-1"
        ):
            partial.append(cell_record)
    assert {(attack.at, attack.artists) for attack in compared(RECORDS, partial).attacks} == {("strength 1", 8)}


def test_calibrated_points_win_over_strengths():
    def calibrated(value):
        return [
            record(
                "photoguard",
                f"artist-{n}",
                value + 0.01 * n,
                strength=0.6,
                target=0.08,
                key=f"{n}{value}".replace(".", "").ljust(64, "0"),
            )
            for n in range(1, 9)
        ]

    comparison = compared([*RECORDS, *calibrated(0.5)], [*RECORDS, *calibrated(0.4)])
    assert {attack.attack: attack.at for attack in comparison.attacks}["dreambooth"] == "target 0.08"
    assert {attack.attack: attack.at for attack in comparison.attacks}["jpeg"] == "strength 0.25, 0.5, 1"
    assert comparison.attacks[0].verdict is Verdict.REGRESSED


def test_a_new_fault_of_the_protection_is_a_regression():
    def failed(each):
        lost = {"status": Status.FAILED, "reason": "it raised", "generations": {}, "sets": {}, "quality": {}}
        return each.model_copy(update=lost) if each.protection.name == "photoguard" else each

    comparison = compared(RECORDS, [failed(cell_record) for cell_record in RECORDS])
    assert {attack.verdict for attack in comparison.attacks} == {Verdict.REGRESSED}
    assert {attack.after for attack in comparison.attacks} == {0.0}
    assert comparison.quality == ()


def test_other_environments_and_seeds_are_said():
    elsewhere = RECORDS[0].environment.model_copy(update={"env_class": "other", "packages": {"torch": "3.0"}})
    moved = []
    for cell_record in RECORDS:
        moved.append(cell_record.model_copy(update={"environment": elsewhere, "salt_digest": "1" * 64}))
    comparison = compared(RECORDS, moved)
    assert any("environment classes differ" in note for note in comparison.notes)
    assert any("attack seeds differ" in note for note in comparison.notes)
    changed = {}
    for change in comparison.changes:
        changed[change.field] = (change.component, change.before, change.after)
    assert changed["environment.torch"] == ("environment", "2.9", "3.0")
    assert changed["salt"][0] == "suite"
    both = compared([*RECORDS, *moved[:40]], [*RECORDS, *moved])
    assert both.notes == ()  # they share a class, and are compared in it


def test_controls_of_another_version_of_an_attack_are_not_used():
    def attacked(records, steps, move):
        return [
            cell_record.model_copy(
                update={
                    "components": {"personalise": {"stage": "personalise", "steps": steps}},
                    "key": f"{steps}{cell_record.key}"[:64],
                    "created": f"2026-0{steps}-01T00:00:00+00:00",
                    "generations": {"style-distance": [v + move for v in cell_record.generations["style-distance"]]},
                }
            )
            for cell_record in records
            if cell_record.protection.role != "floor"
        ] + [cell_record for cell_record in records if cell_record.protection.role == "floor"]

    old, new = attacked(RECORDS, 1, 0.0), attacked(RECORDS, 2, 0.1)
    plain = {attack.attack: attack.after for attack in compared(old, old).attacks}
    both = [*old, *(cell_record for cell_record in new if cell_record.protection.role != "submission")]
    assert {attack.attack: attack.after for attack in compared(old, both).attacks} == pytest.approx(plain)


def test_inconclusive_says_what_would_decide():
    rng = np.random.default_rng(3)
    moves = {}
    for n, move in enumerate(rng.permutation([0.12, -0.12] * 4), start=1):
        moves[f"artist-{n}"] = move
    comparison = compared(RECORDS, version(RECORDS, "1.1", lambda each, value: value + moves[each.artist]))
    [plain] = [attack for attack in comparison.attacks if attack.attack == "dreambooth"]
    assert plain.verdict is Verdict.INCONCLUSIVE
    assert plain.least > comparison.margin
    assert plain.artists_needed > plain.artists
    assert plain.seeds_needed is None  # the clean arm's seeds hardly differ: the artists do


def test_two_artists_decide_nothing_unless_the_cells_are_the_same():
    few = []
    for cell_record in RECORDS:
        if cell_record.artist in ("artist-1", "artist-2"):
            few.append(cell_record)
    facts = synthetic.facts(FACTS.suite.model_copy(update={"artists": ["artist-1", "artist-2"]}))
    comparison = compared(few, version(few, "1.1", weaker(0.25)), facts=facts)
    assert {attack.reason for attack in comparison.attacks} == {"2 artists, a verdict needs 6"}
    assert compared(few, few, facts=facts).verdict is Verdict.EQUIVALENT


def test_nothing_in_common_is_said(tmp_path):
    with pytest.raises(UserError, match="a protection with records in somewhere"):
        compared(RECORDS, [cell_record for cell_record in RECORDS if cell_record.protection.name != "photoguard"])
    assert parse("impasto[clip=false,base=advdm]").protection == "impasto[base=advdm,clip=false]"


def fallen(records, artists, name="photoguard"):
    """The same records, those of some artists with the generations that clean images give: P becomes 0."""
    clean = {}
    for r in records:
        if r.protection.name == "identity":
            clean[r.artist, r.attack.name, r.seed] = r

    def fall(each):
        if each.protection.name != name or each.artist not in artists:
            return each
        return each.model_copy(update={"generations": clean[each.artist, each.attack.name, each.seed].generations})

    return [fall(cell_record) for cell_record in records]


def test_equal_keys_with_other_values_are_never_equivalent():
    artists = sorted({cell_record.artist for cell_record in FEW})
    pair = [cell_record for cell_record in FEW if cell_record.artist in artists[:2]]
    for before, after in ((pair, fallen(pair, artists)), (FEW, fallen(FEW, artists[:2]))):
        comparison = compared(before, after)
        assert {attack.verdict for attack in comparison.attacks} == {Verdict.OTHER_RESULT}
        assert comparison.verdict is Verdict.OTHER_RESULT
        for attack in comparison.attacks:
            assert attack.other_results
        assert any(str(Verdict.OTHER_RESULT) in note for note in comparison.notes)
    assert compared(FEW, fallen(FEW, artists)).verdict is Verdict.REGRESSED


def test_equal_cells_beside_changed_controls_are_not_equivalent():
    def moved(each):
        if each.protection.role != "identity":
            return each
        values = [value + 0.1 for value in each.generations["style-distance"]]
        return each.model_copy(update={"generations": {**each.generations, "style-distance": values}})

    comparison = compared(FEW, [moved(cell_record) for cell_record in FEW])
    assert Verdict.EQUIVALENT not in {attack.verdict for attack in comparison.attacks}
    for attack in comparison.attacks:
        assert attack.other_results


def test_sides_without_a_shared_cell_compare_to_nothing():
    artists = sorted({cell_record.artist for cell_record in FEW})
    first, second = (
        [cell_record for cell_record in FEW if (cell_record.artist in artists[:4]) is side] for side in (True, False)
    )
    comparison = compared(first, second)
    assert (comparison.attacks, comparison.verdict) == ((), Verdict.INCONCLUSIVE)
