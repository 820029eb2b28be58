from __future__ import annotations

from collections import Counter

import pytest
import tiny

from cloakbench.cells.ordering import select
from cloakbench.errors import UserError

ENTRIES = [
    tiny.entry("good"),
    tiny.entry("random-noise", role="random-noise"),
    tiny.entry("placebo", role="placebo"),
    tiny.FLOOR_ENTRY,
    tiny.entry("identity", role="identity"),
]


def planned(**changes):
    changes = {"seeds": {"protected": 1, "controls": 3}, "strengths": [0.25, 1.0], **changes}
    return tiny.planner(**changes).cells(ENTRIES, [tiny.artist("vellmar"), tiny.artist("kirin")])


def test_every_role_gets_its_seeds_and_strengths():
    # artists x strengths x attacks x seeds: two artists, attacks dreambooth and noise + dreambooth
    counts = Counter(cell.entry.facts.role for cell in planned())
    assert counts == {
        "identity": 2 * 1 * 2 * 3,
        "floor": 2 * 1 * 1 * 3,
        "placebo": 2 * 1 * 2 * 3,
        "random-noise": 2 * 2 * 2 * 1,
        "submission": 2 * 2 * 2 * 1,
    }


def test_the_floor_is_never_cleaned_nor_protected():
    for cell in planned():
        if cell.entry.facts.role == "floor":
            assert cell.attack.countermeasure is None
            assert list(cell.recipes.content()) == ["generate", "measure"]


def test_keys_are_unique_and_repeat_themselves():
    keys = [cell.key for cell in planned()]
    assert len(set(keys)) == len(keys)
    assert [cell.key for cell in planned()] == keys


def test_all_arms_share_their_attack_seeds():
    """The same artist, seed index and stage: one seed, whatever the protection, strength or countermeasure."""
    found: dict[tuple[str, int, str], set[int]] = {}
    for cell in planned():
        for recipe in (cell.recipes.personalise, cell.recipes.generate):
            if recipe is not None:
                found.setdefault((cell.artist.name, cell.seed, recipe.stage), set()).add(recipe.seed)
    assert len(found) == 2 * 3 * 2
    for seeds in found.values():
        assert len(seeds) == 1
    assert len(set.union(*found.values())) == len(found)


def test_the_seed_of_a_countermeasure_does_not_depend_on_the_protection():
    cells = []
    for c in planned():
        if c.attack.name == "noise" and c.artist.name == "kirin" and c.seed == 0:
            cells.append(c)
    assert len({c.recipes.countermeasure.seed for c in cells}) == 1
    assert len({c.entry.facts.name for c in cells}) == 4


def test_attacks_with_one_mimicry_share_seeds_and_differ_in_parents():
    cells = {}
    for c in planned():
        if c.entry.facts.role == "identity" and c.seed == 0:
            cells[c.attack.name] = c
    plain, cleaned = cells["dreambooth"], cells["noise"]
    assert plain.recipes.personalise.seed == cleaned.recipes.personalise.seed
    assert plain.keys["protect"] == cleaned.keys["protect"]
    assert plain.keys["personalise"] != cleaned.keys["personalise"]


def test_selection_is_by_alternatives_within_a_field_and_all_fields():
    chosen = select(planned(), ["artist=kirin", "protection=good", "protection=placebo", "strength=1"])
    assert {(c.artist.name, c.entry.facts.name, c.strength) for c in chosen} == {
        ("kirin", "good", 1.0),
        ("kirin", "placebo", 1.0),
    }


@pytest.mark.parametrize(
    ("only", "message"),
    [
        (["colour=red"], "field of protection, artist, attack, seed, strength, target, got 'colour=red'"),
        (["artist"], "expected --only FIELD=VALUE"),
        (["artist="], "expected --only FIELD=VALUE"),
        (["artist=nobody"], "expected artist of kirin, vellmar, got nobody"),
        (["attack=noise", "attack=zap"], "got zap"),
    ],
)
def test_a_wrong_selection_is_explained(only, message):
    with pytest.raises(UserError, match=message):
        select(planned(), only)
