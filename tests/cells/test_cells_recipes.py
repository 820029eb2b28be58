"""What enters the keys of the attacks of Part 2: chains, models, class images, editing."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace

import pytest
import tiny
from pydantic import ValidationError
from roots import ROOT

from cloakbench.attacks import catalogue
from cloakbench.cells.plan import Planner
from cloakbench.schemas.recipes import Recipes
from cloakbench.schemas.suite import Suite

REFERENCE = ROOT / "leaderboards" / "reference" / "mini" / "records.jsonl"

ARTIST = tiny.artist()
SD = {**tiny.DIGESTS.models, "mini-vae-c": "1" * 64, "other": "2" * 64}


def planner(**changes):
    document = tomllib.loads(tiny.WHOLE)
    tables = {}
    for name in ("countermeasures", "mimicry", "metrics"):
        tables[name] = {**document[name], **changes.pop(name, {})}
    suite = Suite.model_validate({**document, **tables, **changes})
    return Planner(suite, replace(tiny.DIGESTS, models=SD), "public")


def attack(countermeasure=None, mimicry="dreambooth", model="mini-a", name="the-attack"):
    return {"name": name, "countermeasure": countermeasure, "mimicry": mimicry, "model": model}


def cell(countermeasure=None, mimicry="dreambooth", seed=0, role="submission", **changes):
    """One planned cell of the whole tiny suite with one more attack."""
    more = attack(countermeasure, mimicry)
    attacks = [*tomllib.loads(tiny.WHOLE)["attacks"], more]
    suite_planner = planner(attacks=attacks, **changes)
    entry = tiny.FLOOR_ENTRY if role == "floor" else tiny.entry("x", role=role)
    return suite_planner.cell(entry, 0.5, ARTIST, suite_planner.suite.attack("the-attack"), seed)


BLUR = {"kernel": 3, "sigma": 0.8}
IMPRESS = {"model": "mini-a", "steps": 2}
UPSCALE = {"model": "mini-b", "upscaler": "", "sigma": 0.1, "strength": 0.5, "steps": 2, "guidance": 2.0}


def test_a_chain_nests_the_recipes_of_its_parts():
    chain = cell("noise+blur").recipes.countermeasure.content()
    parts = [cell(name).recipes.countermeasure.content() for name in ("noise", "blur")]
    assert set(chain) == {"stage", "chain", "parents"}
    for part, alone in zip(chain["chain"], parts, strict=True):
        assert part == {name: value for name, value in alone.items() if name not in ("stage", "parents")}
    assert [part["name"] for part in chain["chain"]] == ["noise", "blur"]
    assert chain["chain"][1]["parameters"] == BLUR
    assert chain["parents"] == {"protect": cell("noise").keys["protect"]}


def test_a_repeated_countermeasure_continues_the_draws_of_its_name():
    parts = cell("noise+blur+noise").recipes.countermeasure.chain
    drawn = []
    for n in (0, len(ARTIST.images)):
        drawn.append(planner().seed(ARTIST.name, 0, "countermeasure:noise", n))
    assert [part.seed for part in parts[::2]] == drawn
    assert parts[0] == cell("noise+blur").recipes.countermeasure.chain[0]


def test_the_order_of_a_chain_is_part_of_its_key():
    keys = set()
    for name in ("noise", "blur", "noise+blur", "blur+noise"):
        keys.add(cell(name).keys["countermeasure"])
    assert len(keys) == 4


@pytest.mark.parametrize("name", ["noise", "noise+blur", "impress"])
def test_all_seeds_share_the_cleaned_images(name):
    seeded_cells = []
    for seed in (0, 1, 2):
        seeded_cells.append(cell(name, seed=seed, countermeasures={"impress": IMPRESS}))
    assert len({seeded_cell.keys["countermeasure"] for seeded_cell in seeded_cells}) == 1
    assert len({seeded_cell.keys["personalise"] for seeded_cell in seeded_cells}) == 3
    assert len({seeded_cell.key for seeded_cell in seeded_cells}) == 3


@pytest.mark.parametrize(
    ("name", "settings", "used"),
    [
        ("impress", IMPRESS, {"model": "mini-a"}),
        ("vae-trans", {"vae": "mini-vae-c"}, {"vae": "mini-vae-c"}),
        ("noisy-upscale", UPSCALE, {"model": "mini-b"}),
        ("noisy-upscale", {**UPSCALE, "upscaler": "other", "model": ""}, {"upscaler": "other"}),
    ],
)
def test_the_digests_of_a_countermeasures_models_enter_its_key(name, settings, used):
    tables = {name: settings}
    planned_cell = cell(name, countermeasures=tables)
    recipe = planned_cell.recipes.countermeasure.content()
    assert recipe["models"] == {parameter: SD[alias] for parameter, alias in used.items()}
    assert recipe["captions"] == list(ARTIST.captions)
    assert recipe["dtype"] == "float32"
    assert ("perceptual" in recipe) == (name == "impress")
    half = cell(name, countermeasures=tables, dtype="bfloat16")
    assert half.recipes.countermeasure.content() != recipe


def test_other_weights_give_a_countermeasure_another_key(monkeypatch):
    first = cell("vae-trans", countermeasures={"vae-trans": {"vae": "mini-vae-c"}})
    monkeypatch.setitem(SD, "mini-vae-c", "3" * 64)
    second = cell("vae-trans", countermeasures={"vae-trans": {"vae": "mini-vae-c"}})
    assert first.keys["protect"] == second.keys["protect"]
    assert first.keys["countermeasure"] != second.keys["countermeasure"]


def test_a_countermeasure_without_models_knows_neither_captions_nor_weights():
    assert set(cell("noise").recipes.countermeasure.content()) == {
        "stage",
        "version",
        "name",
        "parameters",
        "seed",
        "parents",
    }


def test_prior_preservation_adds_how_the_class_is_drawn():
    plain = cell(class_word="photo").recipes.personalise.content()
    settings = {**plain["parameters"], "prior_weight": 1.0, "class_images": 2}
    suite_planner = planner(mimicry={"dreambooth": settings}, class_word="photo")
    recipe = suite_planner.cell(
        tiny.entry("x"), 0.5, ARTIST, suite_planner.suite.attack("dreambooth"), 0
    ).recipes.personalise.content()
    expected = {"word": "photo", "sampling": suite_planner.suite.sampling.model_dump()}
    assert recipe == {**plain, "parameters": settings, "class": expected}


def test_an_attack_has_values_of_its_own_in_its_mimicrys_table():
    plain = attack(name="dreambooth")
    slow = {**plain, "name": "slow", "recipe": {"steps": 7}}
    suite_planner = planner(attacks=[plain, slow])
    cells = []
    for name in ("dreambooth", "slow"):
        cells.append(suite_planner.cell(tiny.entry("x"), 0.5, ARTIST, suite_planner.suite.attack(name), 0))
    expected = {**suite_planner.suite.mimicry["dreambooth"], "steps": 7}
    assert cells[1].recipes.personalise.parameters == expected != cells[0].recipes.personalise.parameters
    assert cells[0].keys == cell().keys
    assert catalogue.parameters(cells[1].attack, suite_planner.suite)["dreambooth"] == expected


def edits(**changes):
    suite_planner = planner(seeds={"protected": 2, "controls": 3}, **changes)
    roles = ("identity", "placebo", "random-noise", "submission")
    entries = [tiny.FLOOR_ENTRY, *(tiny.entry(role, role=role) for role in roles)]
    return [cell for cell in suite_planner.cells(entries, [ARTIST]) if cell.attack.name == "edit"]


def test_editing_is_for_what_protects_only():
    """The clean arm's edit is what all are compared with, and the floor has nothing to edit."""
    counted = {}
    for cell_record in edits():
        counted[cell_record.entry.facts.role] = counted.get(cell_record.entry.facts.role, 0) + 1
    assert counted == {"placebo": 3, "random-noise": 2, "submission": 2}


def test_an_edit_learns_nothing_and_asks_no_judge():
    for cell_record in edits():
        assert list(cell_record.recipes.content()) == ["protect", "generate", "measure"]
        assert cell_record.recipes.generate.parents == {"protect": cell_record.keys["protect"]}
        measure = cell_record.recipes.measure.content()
        assert set(measure["metrics"]) == {"mini-lpips", "psnr", "linf", "edit-ssim", "edit-psnr"}
        assert {"judge", "references"}.isdisjoint(measure)


def test_an_edit_has_a_seed_of_its_own_that_all_arms_share():
    edit_cells = edits()
    assert len({edit_cell.recipes.generate.seed for edit_cell in edit_cells}) == 3
    by_index = {(edit_cell.seed, edit_cell.recipes.generate.seed) for edit_cell in edit_cells}
    assert len(by_index) == 3
    assert len({edit_cell.key for edit_cell in edit_cells}) == len(edit_cells)


def test_the_prompts_of_an_edit_are_part_of_its_key_and_of_no_others():
    first, other = (planner(edit_prompts=[text]) for text in ("a {class_word} of rain", "a {class_word} of snow"))

    def generated(made, name):
        return made.cell(tiny.entry("x"), 0.5, ARTIST, made.suite.attack(name), 0).keys["generate"]

    assert generated(first, "edit") != generated(other, "edit")
    assert generated(first, "chain") == generated(other, "chain")


def test_a_cleaned_edit_descends_from_the_cleaned_images():
    planned_cell = cell("noise", "edit")
    assert planned_cell.recipes.generate.parents == {"countermeasure": planned_cell.keys["countermeasure"]}


def test_only_a_stage_with_masks_has_them_in_its_key():
    table = {"inpaint": {"steps": 2, "guidance": 2.0}}
    masked = replace(ARTIST, masks=tuple(picture[..., 0] for picture in ARTIST.images))
    attacks = [*tomllib.loads(tiny.WHOLE)["attacks"], attack(mimicry="inpaint")]
    suite_planner = planner(attacks=attacks, mimicry=table)
    edit, inpaint = (
        suite_planner.cell(tiny.entry("x"), 0.5, masked, suite_planner.suite.attack(name), 0).recipes.generate.content()
        for name in ("edit", "the-attack")
    )
    assert "masks" not in edit
    assert inpaint["masks"] == masked.mask_digests
    assert len(set(inpaint["masks"])) == 3


def test_recipes_come_back_from_a_record_as_they_were():
    for name in ("noise", "noise+blur"):
        recipes = cell(name).recipes
        assert Recipes.model_validate(json.loads(json.dumps(recipes.content()))) == recipes
    edit = edits()[0].recipes
    assert Recipes.model_validate(json.loads(json.dumps(edit.content()))) == edit


def test_a_field_of_another_version_stays_in_the_key():
    content = cell("noise").recipes.content()
    content["generate"]["future"] = 1
    assert Recipes.model_validate(content).content() == content


@pytest.mark.parametrize("broken", [{}, {"generate": 5}, {"measure": {"stage": "measure"}}, {"protect": []}])
def test_what_no_run_writes_is_no_recipe(broken):
    with pytest.raises(ValidationError):
        Recipes.model_validate({**cell("noise").recipes.content(), **broken} if broken else {})


@pytest.mark.skipif(not REFERENCE.is_file(), reason="no committed records")
def test_committed_records_keep_their_keys():
    with REFERENCE.open(encoding="utf-8") as lines:
        for line in lines:
            components = json.loads(line)["components"]
            assert Recipes.model_validate(components).content() == components
