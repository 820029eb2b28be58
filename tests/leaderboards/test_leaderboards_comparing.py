"""Comparisons of synthetic and committed records: what is paired, what is told, and how often nothing is called one."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import synthetic
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from synthetic import record
from versions import FACTS, FEW, RECORDS, version, weaker

from cloakbench.errors import UserError
from cloakbench.schemas.kinds import Status
from cloakbench.store.reading import Loaded, load
from cloakbench_leaderboards.scores import statistics
from cloakbench_leaderboards.versions.comparing import compare
from cloakbench_leaderboards.versions.references import parse
from cloakbench_leaderboards.versions.sides import SideRequest, sides
from cloakbench_leaderboards.versions.verdicts import Verdict, judge

MINI = Path(__file__).parents[2] / "leaderboards/reference/mini"
MIRROR = {Verdict.REGRESSED: Verdict.IMPROVED, Verdict.IMPROVED: Verdict.REGRESSED}


def asked(records, name="photoguard", number=None, facts=FACTS):
    return SideRequest(Loaded(facts, list(records), [])._replace(damaged=[]), "somewhere", name, number)


def compared(before, after, **names):
    return compare(*sides(asked(before, **names), asked(after, **names)))


def verdicts(found):
    return {each.attack: each.verdict for each in found.attacks}


def test_a_planted_regression_is_found_under_the_attacks_that_it_weakens():
    found = compared(RECORDS, version(RECORDS, "1.1", weaker(0.25)))
    planted = [each for each in found.attacks if each.attack in ("dreambooth", "jpeg", "lora")]
    assert all(each.change <= -2 * each.least for each in planted)
    assert {each.verdict for each in planted} == {Verdict.REGRESSED}
    assert {verdicts(found)[name] for name in ("blur", "noise")} == {Verdict.EQUIVALENT}
    assert found.verdict is Verdict.REGRESSED
    # P of the plain attack: 0.5 x (0.25^0.7 + 0.5^0.7 + 1) / 3 of the way, then a quarter of it; 0.01 of spread
    [plain] = [each for each in planted if each.attack == "dreambooth"]
    assert plain.before == pytest.approx(0.5 * (0.25**0.7 + 0.5**0.7 + 1) / 3, abs=0.05)
    assert plain.after == pytest.approx(plain.before / 4, abs=0.01)
    assert (plain.at, plain.artists, plain.seeds, plain.reason) == ("strength 0.25, 0.5, 1", 8, 1, "")


def planted(name, share):
    """Committed records of PhotoGuard, and those of a share of its budget as if they were a new version's."""
    loaded = load(MINI.with_name(name))
    [(largest, _)] = Counter(each.environment.env_class for each in loaded.records).most_common(1)
    records = [each for each in loaded.records if each.environment.env_class == largest and each.target is None]
    others = [each for each in records if each.protection.name != "photoguard"]
    own = [each for each in records if each.protection.name == "photoguard"]
    weaker = [each.model_copy(update={"strength": 1.0}) for each in own if each.strength == share]
    whole = [each for each in own if each.strength == 1.0]
    return compared([*others, *whole], [*others, *weaker], facts=loaded.facts)


def test_half_of_the_budget_is_found_in_five_paired_seeds():
    found = planted("mini-meaning", 0.5)
    [plain] = found.attacks
    assert (plain.verdict, plain.artists, plain.seeds) == (Verdict.REGRESSED, 7, 5)  # one artist has no signal
    assert (round(plain.before, 2), round(plain.after, 2)) == (0.58, 0.31)  # the model card's, without halloran
    assert [change.field for change in found.changes] == ["protect.strength"]


def test_a_quarter_of_the_budget_is_found_under_the_attacks_that_it_weakens():
    """One seed: worth finding is what changes by at least twice what so many artists show."""
    found = planted("mini", 0.25)
    assert all(each.change < -0.1 for each in found.attacks)
    worth = {each.attack: each.verdict for each in found.attacks if -each.change >= 2 * each.least}
    assert set(worth.values()) <= {Verdict.REGRESSED}
    assert {each.attack for each in found.attacks if each.verdict is Verdict.REGRESSED} >= {"blur", "lora"}
    assert found.verdict is Verdict.REGRESSED
    assert [change.field for change in found.changes] == ["protect.strength"]


def test_the_changed_component_is_named():
    before = version(RECORDS, "1.0")
    found = compared(before, version(RECORDS, "1.1"))
    assert [(change.component, change.field) for change in found.changes] == [("code", "protect.package")]
    assert len(found.changes[0].attacks) == 5


@settings(max_examples=5, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 1000))
def test_order_is_irrelevant_and_swapping_mirrors(seed):
    rng = random.Random(seed)
    after = version(FEW, "1.1", weaker(rng.uniform(0.2, 1.8), rng.sample(["dreambooth", "jpeg", "blur"], 2)))
    first = compared(FEW, after)
    shuffled = [rng.sample(each, len(each)) for each in (FEW, after)]
    assert compared(*shuffled) == first
    swapped = compared(after, FEW)
    assert verdicts(swapped) == {name: MIRROR.get(each, each) for name, each in verdicts(first).items()}
    assert [each.change for each in swapped.attacks] == pytest.approx([-each.change for each in first.attacks])


def test_only_cells_of_one_artist_point_and_seed_are_paired():
    seeds = [record("photoguard", each.artist, 0.9, seed=1) for each in RECORDS if each.protection.name == "photoguard"]
    found = compared([*RECORDS, *seeds[:1]], RECORDS)
    assert {each.verdict for each in found.attacks} == {Verdict.EQUIVALENT}
    assert "cells without a partner after: dreambooth 1" in found.notes
    few = [each for each in RECORDS if each.protection.name != "photoguard" or each.strength == 1.0]
    assert compared(RECORDS, few).attacks[0].at == "strength 1"


def test_a_strength_that_few_artists_have_leaves_the_others_in():
    partial = [
        each
        for each in RECORDS
        if each.protection.name != "photoguard" or each.strength == 1.0 or each.artist == "artist-1"
    ]
    assert {(each.at, each.artists) for each in compared(RECORDS, partial).attacks} == {("strength 1", 8)}


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

    found = compared([*RECORDS, *calibrated(0.5)], [*RECORDS, *calibrated(0.4)])
    assert {each.attack: each.at for each in found.attacks}["dreambooth"] == "target 0.08"
    assert {each.attack: each.at for each in found.attacks}["jpeg"] == "strength 0.25, 0.5, 1"
    assert found.attacks[0].verdict is Verdict.REGRESSED


def test_a_new_fault_of_the_protection_is_a_regression():
    def failed(each):
        lost = {"status": Status.FAILED, "reason": "it raised", "generations": {}, "sets": {}, "quality": {}}
        return each.model_copy(update=lost) if each.protection.name == "photoguard" else each

    found = compared(RECORDS, [failed(each) for each in RECORDS])
    assert {each.verdict for each in found.attacks} == {Verdict.REGRESSED}
    assert {each.after for each in found.attacks} == {0.0}
    assert found.quality == ()


def test_other_environments_and_seeds_are_said():
    elsewhere = RECORDS[0].environment.model_copy(update={"env_class": "other", "packages": {"torch": "3.0"}})
    moved = [each.model_copy(update={"environment": elsewhere, "salt_digest": "1" * 64}) for each in RECORDS]
    found = compared(RECORDS, moved)
    assert any("environment classes differ" in note for note in found.notes)
    assert any("attack seeds differ" in note for note in found.notes)
    changed = {change.field: (change.component, change.before, change.after) for change in found.changes}
    assert changed["environment.torch"] == ("environment", "2.9", "3.0")
    assert changed["salt"][0] == "suite"
    both = compared([*RECORDS, *moved[:40]], [*RECORDS, *moved])
    assert both.notes == ()  # they share a class, and are compared in it


def test_controls_of_another_version_of_an_attack_are_not_used():
    def attacked(records, steps, move):
        return [
            each.model_copy(
                update={
                    "components": {"personalise": {"stage": "personalise", "steps": steps}},
                    "key": f"{steps}{each.key}"[:64],
                    "created": f"2026-0{steps}-01T00:00:00+00:00",
                    "generations": {"style-distance": [v + move for v in each.generations["style-distance"]]},
                }
            )
            for each in records
            if each.protection.role != "floor"
        ] + [each for each in records if each.protection.role == "floor"]

    old, new = attacked(RECORDS, 1, 0.0), attacked(RECORDS, 2, 0.1)
    plain = {each.attack: each.after for each in compared(old, old).attacks}
    both = [*old, *(each for each in new if each.protection.role != "submission")]
    assert {each.attack: each.after for each in compared(old, both).attacks} == pytest.approx(plain)


def test_inconclusive_says_what_would_decide():
    rng = np.random.default_rng(3)
    moves = {f"artist-{n}": move for n, move in enumerate(rng.permutation([0.12, -0.12] * 4), start=1)}
    found = compared(RECORDS, version(RECORDS, "1.1", lambda each, value: value + moves[each.artist]))
    [plain] = [each for each in found.attacks if each.attack == "dreambooth"]
    assert plain.verdict is Verdict.INCONCLUSIVE
    assert plain.least > found.margin
    assert plain.artists_needed > plain.artists
    assert plain.seeds_needed is None  # the clean arm's seeds hardly differ: the artists do


def test_two_artists_decide_nothing_unless_the_cells_are_the_same():
    few = [each for each in RECORDS if each.artist in ("artist-1", "artist-2")]
    facts = synthetic.facts(FACTS.suite.model_copy(update={"artists": ["artist-1", "artist-2"]}))
    found = compared(few, version(few, "1.1", weaker(0.25)), facts=facts)
    assert {each.reason for each in found.attacks} == {"2 artists, a verdict needs 6"}
    assert compared(few, few, facts=facts).verdict is Verdict.EQUIVALENT


def test_nothing_changes_by_resampling_in_95_of_100_comparisons():
    """A/A on committed rows: both sides draw each cell's generations anew, with replacement, from the same cell."""
    loaded = load(MINI)
    side, _ = sides(asked(loaded.records, facts=loaded.facts), asked(loaded.records, facts=loaded.facts))
    names = sorted({each.attack.name for each in side.entry if each.strength == 1.0 and each.attack.name != "edit"})
    artists, primary = loaded.facts.suite.artists, loaded.facts.suite.metrics.primary
    entry = {(r.attack.name, r.artist): r.generations.get(primary) for r in side.entry if r.strength == 1.0}
    arm = {(r.protection.role, r.attack.mimicry, r.attack.model, r.artist): r for r in side.controls if not r.seed}
    kind = {attack.name: (attack.mimicry, attack.model) for attack in loaded.facts.suite.attacks}
    rows = np.array([[entry[name, artist] for artist in artists] for name in names])
    clean, floor = (
        np.array([[np.mean(arm[role, *kind[name], a].generations[primary]) for a in artists] for name in names])
        for role in ("identity", "floor")
    )
    rng = np.random.default_rng(0)

    def drawn():
        index = rng.integers(0, rows.shape[-1], (200, *rows.shape))
        values = np.take_along_axis(rows[None], index, -1).mean(-1)
        weight = np.broadcast_to(floor - clean, values.shape)
        return statistics.contributions(np.minimum((values - clean) / weight, 1) * weight, weight)

    found = judge(drawn() - drawn(), loaded.facts.suite.equivalence_margin).verdicts
    called = np.isin(found, [Verdict.REGRESSED, Verdict.IMPROVED]).any(-1)
    assert rows.shape[:2] == (len(names), 8)
    assert len(names) >= 8
    assert called.mean() <= 0.05
    assert (found == Verdict.EQUIVALENT).mean() > 0.5


def test_nothing_in_common_is_said(tmp_path):
    with pytest.raises(UserError, match="a protection with records in somewhere"):
        compared(RECORDS, [each for each in RECORDS if each.protection.name != "photoguard"])
    assert parse("impasto[clip=false,base=advdm]").protection == "impasto[base=advdm,clip=false]"


def fallen(records, artists, name="photoguard"):
    """The same records, those of some artists with the generations that clean images give: P becomes 0."""
    clean = {(r.artist, r.attack.name, r.seed): r for r in records if r.protection.name == "identity"}

    def fall(each):
        if each.protection.name != name or each.artist not in artists:
            return each
        return each.model_copy(update={"generations": clean[each.artist, each.attack.name, each.seed].generations})

    return [fall(each) for each in records]


def test_equal_keys_with_other_values_are_never_equivalent():
    artists = sorted({each.artist for each in FEW})
    pair = [each for each in FEW if each.artist in artists[:2]]
    for before, after in ((pair, fallen(pair, artists)), (FEW, fallen(FEW, artists[:2]))):
        found = compared(before, after)
        assert {each.verdict for each in found.attacks} == {Verdict.OTHER_RESULT}
        assert found.verdict is Verdict.OTHER_RESULT
        assert all(each.other_results for each in found.attacks)
        assert any(str(Verdict.OTHER_RESULT) in note for note in found.notes)
    assert compared(FEW, fallen(FEW, artists)).verdict is Verdict.REGRESSED


def test_equal_cells_beside_changed_controls_are_not_equivalent():
    def moved(each):
        if each.protection.role != "identity":
            return each
        values = [value + 0.1 for value in each.generations["style-distance"]]
        return each.model_copy(update={"generations": {**each.generations, "style-distance": values}})

    found = compared(FEW, [moved(each) for each in FEW])
    assert Verdict.EQUIVALENT not in {each.verdict for each in found.attacks}
    assert all(each.other_results for each in found.attacks)


def test_sides_without_a_shared_cell_compare_to_nothing():
    artists = sorted({each.artist for each in FEW})
    first, second = ([each for each in FEW if (each.artist in artists[:4]) is side] for side in (True, False))
    found = compared(first, second)
    assert (found.attacks, found.verdict) == ((), Verdict.INCONCLUSIVE)
