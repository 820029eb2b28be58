"""Comparisons of committed records: planted changes are found, and nothing is called a change in 95 of 100 draws."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from cloakbench.store.reading import load
from cloakbench_leaderboards.scores import statistics
from cloakbench_leaderboards.versions.sides import sides
from cloakbench_leaderboards.versions.verdicts import Verdict, judge
from tests.leaderboards.compared import asked, compared

MINI = Path(__file__).parents[2] / "leaderboards/reference/mini-3"


def planted(name, share):
    """Committed records of PhotoGuard, and those of a share of its budget as if they were a new version's."""
    loaded = load(MINI.with_name(name))
    [(largest, _)] = Counter(cell_record.environment.env_class for cell_record in loaded.records).most_common(1)
    records = []
    for cell_record in loaded.records:
        if cell_record.environment.env_class == largest and cell_record.target is None:
            records.append(cell_record)
    others = []
    for cell_record in records:
        if cell_record.protection.name != "photoguard":
            others.append(cell_record)
    own = [cell_record for cell_record in records if cell_record.protection.name == "photoguard"]
    weaker = []
    for cell_record in own:
        if cell_record.strength == share:
            weaker.append(cell_record.model_copy(update={"strength": 1.0}))
    whole = [cell_record for cell_record in own if cell_record.strength == 1.0]
    return compared([*others, *whole], [*others, *weaker], facts=loaded.facts)


def test_half_of_the_budget_is_found_in_five_paired_seeds():
    comparison = planted("mini-meaning", 0.5)
    [plain] = comparison.attacks
    assert (plain.verdict, plain.artists, plain.seeds) == (Verdict.REGRESSED, 7, 5)  # one artist has no signal
    assert (round(plain.before, 2), round(plain.after, 2)) == (0.58, 0.31)  # the model card's, without halloran
    assert [change.field for change in comparison.changes] == ["protect.strength"]


def test_a_quarter_of_the_budget_is_found_under_the_attacks_that_it_weakens():
    """One seed: worth finding is what changes by at least twice what so many artists show."""
    comparison = planted("mini-3", 0.25)
    for attack in comparison.attacks:
        assert attack.change < -0.1
    worth = {}
    for attack in comparison.attacks:
        if -attack.change >= 2 * attack.least:
            worth[attack.attack] = attack.verdict
    assert set(worth.values()) <= {Verdict.REGRESSED}
    assert {attack.attack for attack in comparison.attacks if attack.verdict is Verdict.REGRESSED} >= {"blur", "lora"}
    assert comparison.verdict is Verdict.REGRESSED
    assert [change.field for change in comparison.changes] == ["protect.strength"]


def test_nothing_changes_by_resampling_in_95_of_100_comparisons():
    """A/A on committed rows: both sides draw each cell's generations anew, with replacement, from the same cell."""
    loaded = load(MINI)
    side, _ = sides(asked(loaded.records, facts=loaded.facts), asked(loaded.records, facts=loaded.facts))
    names = sorted(
        {
            entry_record.attack.name
            for entry_record in side.entry
            if entry_record.strength == 1.0 and entry_record.attack.name != "edit"
        }
    )
    artists, primary = loaded.facts.suite.artists, loaded.facts.suite.metrics.primary
    entry = {}
    for r in side.entry:
        if r.strength == 1.0:
            entry[r.attack.name, r.artist] = r.generations.get(primary)
    arm = {}
    for r in side.controls:
        if not r.seed:
            arm[r.protection.role, r.attack.mimicry, r.attack.model, r.artist] = r
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

    verdicts = judge(drawn() - drawn(), loaded.facts.suite.equivalence_margin).verdicts
    called = np.isin(verdicts, [Verdict.REGRESSED, Verdict.IMPROVED]).any(-1)
    assert rows.shape[:2] == (len(names), 8)
    assert len(names) >= 8
    assert called.mean() <= 0.05
    assert (verdicts == Verdict.EQUIVALENT).mean() > 0.5
