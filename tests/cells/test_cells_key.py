from __future__ import annotations

import hashlib
import json
import os

import pytest
import tiny
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloakbench.datasets import artists
from cloakbench.images import encode
from cloakbench.store import key, seeds

scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8)
numbers = st.floats(allow_nan=False, allow_infinity=False)
recipes = st.dictionaries(
    st.text(max_size=6), scalars | numbers | st.lists(scalars, max_size=3), min_size=1, max_size=6
)


UNTIMED = settings(suppress_health_check=[HealthCheck.too_slow])
"""How fast examples are made says nothing here, and a busy machine would fail the test."""


@UNTIMED
@given(recipes, st.randoms())
def test_a_key_does_not_depend_on_the_order_of_fields(recipe, random):
    shuffled = list(recipe.items())
    random.shuffle(shuffled)
    assert key.digest(dict(shuffled)) == key.digest(recipe)


@UNTIMED
@given(recipes, st.data())
def test_a_key_changes_with_any_field(recipe, data):
    name = data.draw(st.sampled_from(sorted(recipe)))
    value = data.draw(scalars.filter(lambda v: json.dumps(v) != json.dumps(recipe[name])))
    assert key.digest({**recipe, name: value}) != key.digest(recipe)
    assert key.digest({k: v for k, v in recipe.items() if k != name}) != key.digest(recipe)


@UNTIMED
@given(recipes)
def test_a_key_survives_json(recipe):
    assert key.digest(json.loads(json.dumps(recipe))) == key.digest(recipe)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_json_cannot_hold_is_no_recipe(value):
    with pytest.raises(ValueError, match="JSON compliant"):
        key.digest({"strength": value})


PARTS = {"salt": "public", "suite": "mini", "artist": "a", "index": 0, "stage": "generate", "draw": 0}


@pytest.mark.parametrize(
    ("part", "other"),
    [("salt", "s"), ("suite", "mini-2"), ("artist", "b"), ("index", 1), ("stage", "personalise:lora"), ("draw", 1)],
)
def test_a_seed_changes_with_each_component(part, other):
    assert seeds.derive(**{**PARTS, part: other}) != seeds.derive(**PARTS)


@given(st.text(), st.text(), st.text(), st.integers(0, 99), st.text(), st.integers(0, 99))
def test_a_seed_fits_every_generator(salt, suite, artist, index, stage, draw):
    assert 0 <= seeds.derive(salt, suite, artist, index, stage, draw) < 2**63


def test_seeds_are_the_published_ones():
    # Another derivation would silently unpair new records from old ones.
    text = b'{"artist":"vellmar","draw":3,"index":0,"salt":"public","stage":"generate","suite":"mini"}'
    expected = int(hashlib.sha256(text).hexdigest()[:16], 16) // 2
    assert seeds.derive("public", "mini", "vellmar", 0, "generate", 3) == expected


def only_cell(artist, **changes):
    planner = tiny.planner(**changes)
    return planner.cell(tiny.entry("good"), 0.5, artist, planner.suite.attack("noise"), 0)


def test_the_key_of_images_is_their_pixels_not_their_files(tmp_path):
    suite = tiny.suite(dataset="folder", artists=[])
    keys = []
    for prefix, age in (("scan-", 0), ("photo ", 86400)):
        folder = tmp_path / prefix.strip() / "someone"
        folder.mkdir(parents=True)
        for n in range(5):
            path = folder / f"{prefix}{n}.png"
            path.write_bytes(encode(tiny.picture(n)))
            os.utime(path, (age, age))
        [loaded_artists] = artists.folder_artists(folder.parent, suite, 128)
        keys.append(only_cell(loaded_artists).keys)
    assert keys[0] == keys[1]


CHANGES = {
    "protect": {"budget_255": 8, "class_word": "photo", "protect_seed": 1},
    "countermeasure": {"countermeasures": {"noise": {"sigma": 0.06}}},
    "personalise": {"mimicry": {"dreambooth": {"steps": 3, "batch": 2, "learning_rate": 3e-4}}},
    "generate": {
        "token": "zwx",
        "sampling": {"prompts": ["a boat in the style of {token}"], "per_prompt": 2, "steps": 2, "guidance": 3.0},
    },
    "measure": {
        "metrics": {"primary": "style-distance", "quality": ["linf"], "generation": ["style-accuracy"], "sets": []}
    },
}
STAGES = list(CHANGES)


@pytest.mark.parametrize(("stage", "field"), [(stage, field) for stage, fields in CHANGES.items() for field in fields])
def test_a_change_of_the_suite_changes_its_stage_and_all_after_it(stage, field):
    before = only_cell(tiny.artist()).keys
    after = only_cell(tiny.artist(), **{field: CHANGES[stage][field]}).keys
    changed = [name for name in STAGES if before[name] != after[name]]
    assert changed == STAGES[STAGES.index(stage) :]


def test_the_floor_has_the_class_word_of_its_prompts_in_its_key():
    def floor(word):
        planner = tiny.planner(class_word=word)
        return planner.cell(tiny.FLOOR_ENTRY, 0.0, tiny.artist(), planner.suite.attacks[0], 0).key

    assert floor("painting") != floor("photo")


def test_the_key_of_a_protection_is_its_version_parameters_and_files():
    planner, artist = tiny.planner(), tiny.artist()

    def made(entry):
        return planner.cell(entry, 0.5, artist, planner.suite.attacks[0], 0).key

    base = tiny.entry("good")
    same = tiny.entry("good", tiny.Darker())
    others = [tiny.entry("good[steps=2]"), tiny.entry("good", version="1.1")]
    assert made(same) == made(base)  # the class is known by its package's digest
    changed = base.facts.model_copy(update={"package_digest": "f" * 64})
    keys = {made(e) for e in [base, *others, type(base)(changed, base.instance)]}
    assert len(keys) == 4
