from __future__ import annotations

import pytest
import tiny

from cloakbench.attacks import catalogue
from cloakbench.errors import UserError
from cloakbench.metrics import catalogue as metrics
from cloakbench.schemas.suite import AttackSpec
from cloakbench.suites import load as suites
from cloakbench.suites import read
from cloakbench.suites.check import check
from tests.suites.wrong import Wrong

CLEANED = ["jpeg", "blur", "noise", "resize", "impress", "diffpure", "vae-trans", "noisy-upscale"]
LEARNED = ["lora", "textual-inversion", "dreamstyler", "sd21-transfer", "edit"]
EVERY_ATTACK = ["dreambooth", *CLEANED, *LEARNED]
WRONG = {
    "unknown key": Wrong('title = "Tiny"', 'title = "Tiny"\ncolour = 1', r"colour: Extra inputs .*got 1"),
    "key of a table": Wrong("per_prompt = 2", "per_prompts = 2", r"sampling\.per_prompt: Field required"),
    "type": Wrong("budget_255 = 16", 'budget_255 = "much"', r"budget_255: .*valid integer.*got 'much'"),
    "range": Wrong("budget_255 = 16", "budget_255 = 256", r"budget_255: .*less than or equal to 255 \(got 256\)"),
    "threads": Wrong("threads = 1", "threads = 0", r"threads: .*greater than or equal to 1 \(got 0\)"),
    "margin": Wrong(
        "threads = 1", "threads = 1\nequivalence_margin = 0", r"equivalence_margin: .*greater than 0 \(got 0"
    ),
    "strength": Wrong("strengths = [0.5]", "strengths = [1.5]", r"strengths must lie in \(0, 1\], got 1.5"),
    "no attack": Wrong("[[attacks]]", "[[offences]]", r"attacks: Field required"),
    "same name": Wrong('name = "noise"', 'name = "dreambooth"', "attack names must be unique"),
    "no table": Wrong("[mimicry.dreambooth]", "[mimicry.lora]", r"needs a table \[mimicry.dreambooth\]"),
    "no cleaning": Wrong("[countermeasures.noise]", "[countermeasures.blur]", r"a table \[countermeasures.noise\]"),
    "rank": Wrong('rank_by = "dreambooth"', 'rank_by = "dream"', "worst-case or one of dreambooth, noise, got 'dream'"),
    "no artist": Wrong('artists = ["vellmar"]', "artists = []", "artists must be unique, at least one"),
    "two artists": Wrong('["vellmar"]', '["vellmar", "vellmar"]', "artists must be unique"),
    "prompt": Wrong("of a boat in the style of {token}", "of {thing}", r"sampling\.prompts: .*\{thing\}"),
    "brace": Wrong("of a boat in the style of {token}", "of {", r"sampling\.prompts: "),
    "caption": Wrong('caption = "a painting in', 'caption = "a {subject} in', r"caption: .*\{subject\}"),
    "dataset": Wrong(
        'dataset = "mini"', 'dataset = "coco"', r"dataset: Input should be 'mini', 'folder' or 'manifest' \(got 'coco'"
    ),
    "scheduler": Wrong("guidance = 3.0", 'guidance = 3.0\nscheduler = "euler"', r"sampling\.scheduler: .*got 'euler'"),
    "mimicry": Wrong('mimicry = "dreambooth"', 'mimicry = "dream-booth"', "needs a table"),
    "stage": Wrong("dreambooth", "dreamboth", r"expected a mimicry \(dreambooth, .*lora.*got 'dreamboth'"),
    "model": Wrong('surrogate = "mini-a"', 'surrogate = "mini-x"', "or a model alias .*got 'mini-x'"),
    "attack's model": Wrong('model = "mini-a"', 'model = "mini-x"', "or a model alias .*got 'mini-x'"),
    "metric": Wrong('"psnr"', '"psnrr"', r"expected a metric \(mini-lpips.*got 'psnrr'"),
    "metric's place": Wrong('"psnr"', '"kid"', "expected a quality metric .*got 'kid', a set metric"),
    "FID alone": Wrong('"kid"]', '"fid"]', "expected kid-inception or cmmd beside fid in metrics.sets, got fid alone"),
    "primary": Wrong('primary = "style-distance"', 'primary = "frechet"', "expected a generation metric"),
    "not TOML": Wrong('name = "tiny"', "name = tiny", "expected TOML in .*line 2"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_suite_says_where_what_was_expected_and_got(tmp_path, cloakbench, case):
    wrong = WRONG[case]
    assert wrong.old in tiny.TEXT
    path = tmp_path / "wrong.toml"
    path.write_text(tiny.TEXT.replace(wrong.old, wrong.new))
    with pytest.raises(UserError, match=wrong.message):
        suites.load(str(path))
    result = cloakbench("run", path, "--dry-run")
    assert (result.code, result.out) == (2, "")
    assert "Traceback" not in result.err
    assert result.err.startswith("cloakbench: ")


def test_a_suite_is_read_without_its_stages_being_known(tmp_path):
    path = tmp_path / "future.toml"
    path.write_text(tiny.TEXT.replace('"noise"', '"fog"').replace("countermeasures.noise", "countermeasures.fog"))
    assert read.read(str(path)).attack("fog").countermeasure == "fog"
    with pytest.raises(UserError, match=r"expected a countermeasure .*got 'fog'"):
        suites.load(str(path))


def test_every_part_of_a_chain_needs_its_table_and_has_to_exist():
    chained = AttackSpec(name="both", countermeasure="noise+blurr", mimicry="dreambooth", model="mini-a")
    tables = {"noise": {"sigma": 0.05}, "blurr": {}}
    suite = tiny.suite(attacks=[chained], countermeasures=tables, rank_by="both")
    assert chained.countermeasures == ["noise", "blurr"]
    with pytest.raises(UserError, match=r"expected a countermeasure .*got 'blurr'"):
        check(suite)


def test_bytes_that_are_no_text_are_explained(tmp_path):
    path = tmp_path / "wrong.toml"
    path.write_bytes(b"\xff\xfe" + tiny.TEXT.encode())
    with pytest.raises(UserError, match=r"UTF-8 text in .*UTF-16"):
        suites.load(str(path))


@pytest.mark.parametrize(("name", "near"), [("mini-quik", "mini-quick"), ("minni", "mini"), ("folders", "folder")])
def test_an_unknown_suite_names_the_nearest(name, near):
    with pytest.raises(UserError, match=r"expected the path of a \.toml file or a suite \(.*mini.*\), got ") as caught:
        suites.load(name)
    assert f"Did you mean {near!r}?" in caught.value.hint


@pytest.mark.parametrize("name", ["nowhere.toml", "pyproject", "/", ""])
def test_no_suite_at_a_path_is_explained(name):
    with pytest.raises(UserError, match="or a suite"):
        suites.load(name)


def test_the_issues_suites_are_shipped():
    assert {"mini", "mini-quick", "folder"} <= set(read.names())


@pytest.mark.parametrize("name", read.names())
def test_every_shipped_suite_loads_and_its_stages_take_their_settings(name):
    suite = suites.load(name)
    assert suite.name == name
    catalogue.check(suite)
    facts = suites.facts(suite)
    assert [attack.name for attack in facts.attacks] == [attack.name for attack in suite.attacks]
    for attack in facts.attacks:
        assert attack.summary
        assert attack.parameters
        assert attack.limits
    limits = {attack.name: attack.limits for attack in facts.attacks}
    if "sd21-transfer" in limits:
        assert "family" in limits["sd21-transfer"]
        assert limits["sd21-transfer"].startswith(catalogue.imitation(suite.attack("sd21-transfer")).limits)
    chosen = suite.metrics
    named = {chosen.primary, *chosen.quality, *chosen.generation, *chosen.sets, *chosen.edit}
    assert {m.name for m in facts.metrics} == named
    for m in facts.metrics:
        assert metrics.find(m.name) == m


def test_the_demonstration_is_small():
    quick = suites.load("mini-quick")
    assert quick.demonstration
    assert (len(quick.artists), quick.images_per_artist) == (2, 6)
    assert quick.seeds.controls == quick.seeds.protected == 1


def test_mini_is_what_the_protocol_says():
    suite = suites.load("mini")
    assert (suite.budget_255, suite.strengths) == (16, [1.0])
    assert (suite.seeds.protected, suite.seeds.controls) == (1, 3)
    assert [attack.name for attack in suite.attacks] == EVERY_ATTACK
    assert len(suite.artists) == 12


@pytest.mark.parametrize("name", ["folder", "folder-sd", "painting"])
def test_other_suites_run_the_attacks_of_mini(name):
    suite, mini = suites.load(name), suites.load("mini")
    assert [(a.name, a.countermeasure, a.mimicry) for a in suite.attacks] == [
        (a.name, a.countermeasure, a.mimicry) for a in mini.attacks
    ]


def test_a_suite_says_which_differences_count_as_none(tmp_path):
    assert suites.load("mini").equivalence_margin == 0.1
    (tmp_path / "own.toml").write_text(tiny.TEXT.replace("threads = 1", "threads = 1\nequivalence_margin = 0.02"))
    assert suites.load(str(tmp_path / "own.toml")).equivalence_margin == 0.02


def test_the_demonstration_runs_the_eight_of_the_field():
    quick = suites.load("mini-quick")
    wanted = {"dreambooth", "jpeg", "blur", "noise", "impress", "lora", "dreamstyler", "sd21-transfer"}
    assert {attack.name for attack in quick.attacks} == wanted
    assert (quick.seeds.protected, quick.seeds.controls, len(quick.artists)) == (1, 1, 2)


def test_a_suite_of_own_images_takes_any_model(sd_stand_ins):
    before = suites.load("folder")
    after = suites.on_model(before, "sd15")
    assert (after.name, after.surrogate) == ("folder-sd-sd15", "sd15")
    assert {attack.model for attack in after.attacks} == {"sd15"}
    gone = {attack.name for attack in before.attacks} - {attack.name for attack in after.attacks}
    assert gone == {"sd21-transfer", "vae-trans", "noisy-upscale"}  # they need a further model
    assert after.countermeasures["impress"]["model"] == "sd15"
    assert catalogue.models(after) == {"sd15"}
    folder = suites.on_model(before, str(sd_stand_ins / "mini-b"))
    assert (folder.name, folder.surrogate) == ("folder-mini-b", str(sd_stand_ins / "mini-b"))


def test_recipes_follow_the_family_of_the_model():
    """Mini's rates are up to 60 times too high for Stable Diffusion, and its IMPRESS moves no level at 512 pixels."""
    painting, own = suites.load("painting"), suites.on_model(suites.load("folder"), "sd21-base")
    assert own.mimicry == painting.mimicry
    assert own.sampling == painting.sampling
    assert own.dtype == painting.dtype
    assert own.countermeasures == {
        **painting.countermeasures,
        "impress": {**painting.countermeasures["impress"], "model": "sd21-base"},
        "diffpure": {**painting.countermeasures["diffpure"], "model": "sd21-base"},
    }
    assert (suites.for_model("sd15").name, suites.for_model(None).name) == ("folder-sd", "mini")
    assert suites.on_model(suites.load("folder"), "mini-b").mimicry == suites.load("folder").mimicry


@pytest.mark.parametrize(("suite", "model"), [("folder-sd", "mini-a"), ("mini", "sd15"), ("painting", "mini-b")])
def test_a_recipe_of_another_family_is_refused(suite, model):
    with pytest.raises(UserError, match="family") as caught:
        suites.check_family(suites.load(suite), model)
    assert "--suite" in caught.value.hint


def test_the_model_of_a_protocol_stays():
    with pytest.raises(UserError, match="expected no --model for suite 'mini', got 'sd15'"):
        suites.on_model(suites.load("mini"), "sd15")
    with pytest.raises(UserError, match="a folder in diffusers layout or a model alias"):
        suites.on_model(suites.load("folder"), "sd51")


@pytest.mark.parametrize(
    ("mimicry", "table"), [("textual-inversion", {}), ("dreamstyler", {}), ("dreambooth", {"train_text_encoder": True})]
)
def test_what_trains_a_text_encoder_is_refused_on_a_model_with_two(mimicry, table):
    suite = suites.load("painting")
    attack = AttackSpec(name="x", mimicry=mimicry, model="sdxl")
    tables = {**suite.mimicry, mimicry: {**suite.mimicry[mimicry], **table}}
    wrong = suite.model_copy(update={"attacks": [*suite.attacks, attack], "mimicry": tables})
    with pytest.raises(UserError, match="one text encoder for the attack 'x', got 'sdxl'"):
        check(wrong)


def test_images_of_ones_own_on_a_model_with_two_text_encoders_leave_learned_words_out():
    names = [attack.name for attack in suites.on_model(suites.load("folder"), "sdxl").attacks]
    assert {"dreambooth", "lora", "impress"} <= set(names)
    assert not {"textual-inversion", "dreamstyler"} & set(names)


def test_the_limits_of_a_transfer_depend_on_the_autoencoder():
    painting, transfer = suites.load("painting"), suites.load("sdxl-transfer")
    same = catalogue.limits(painting.attack("sd21-transfer"), painting)
    other = catalogue.limits(transfer.attack("lora"), transfer)
    assert catalogue.TRANSFER_LIMITS in same
    assert catalogue.OTHER_AUTOENCODER_LIMITS in other
    assert "did not look into" not in catalogue.limits(transfer.attack("white-box"), transfer)
