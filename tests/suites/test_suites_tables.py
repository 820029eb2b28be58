"""Suites that edit images, and suites that match quality: what loads, and what is refused in words."""

from __future__ import annotations

import pytest
import tiny

from cloakbench.errors import UserError
from cloakbench.schemas.suite import AttackSpec
from cloakbench.suites import load as suites
from cloakbench.suites.check import check
from tests.suites.wrong import Wrong

EDITING = """
edit_prompts = ["an oil {class_word} of a boat at night"]
rank_by = "dreambooth"
"""
EDIT_ATTACK = """
[[attacks]]
name = "edit"
mimicry = "edit"
model = "mini-a"

[mimicry.edit]
strength = 0.5
steps = 2
guidance = 3.0

[countermeasures.noise]
"""
WITH_EDIT = (
    tiny.TEXT.replace('rank_by = "dreambooth"\n', EDITING)
    .replace("[countermeasures.noise]\n", EDIT_ATTACK)
    .replace('sets = ["frechet", "kid"]', 'sets = ["frechet", "kid"]\nedit = ["edit-ssim", "edit-vif"]')
)
WRONG_EDIT = {
    "no prompts": Wrong(EDITING, '\nrank_by = "dreambooth"\n', "expected edit_prompts for the attack 'edit', got none"),
    "no metrics": Wrong(
        'edit = ["edit-ssim", "edit-vif"]', "", "expected metrics.edit for the attack 'edit', got none"
    ),
    "metric's level": Wrong(
        '"edit-ssim"', '"ssim"', r"expected a edit metric \(edit-ssim.*got 'ssim', a quality metric"
    ),
    "prompt": Wrong("oil {class_word}", "oil {token}", r"edit_prompts: .*\{token\}"),
    "rank": Wrong(
        'rank_by = "dreambooth"', 'rank_by = "edit"', r"that imitates the style \(dreambooth, noise\), got 'edit'"
    ),
    "chain's table": Wrong('countermeasure = "noise"', 'countermeasure = "noise+blur"', r"\[countermeasures.blur\]"),
    "chain's stage": Wrong('"noise"\nmimicry', '"noise+noise2"\nmimicry', r"a table \[countermeasures.noise2\]"),
}


def test_a_suite_that_edits_loads_and_its_facts_say_what_is_ranked(tmp_path):
    path = tmp_path / "edits.toml"
    path.write_text(WITH_EDIT)
    facts = suites.facts(suites.load(str(path)))
    assert [(attack.name, attack.ranked) for attack in facts.attacks] == [
        ("dreambooth", True),
        ("noise", True),
        ("edit", False),
    ]
    assert [m.name for m in facts.metrics if m.level == "edit"] == ["edit-ssim", "edit-vif"]


@pytest.mark.parametrize("case", WRONG_EDIT)
def test_a_wrong_suite_that_edits_is_explained(tmp_path, case):
    wrong = WRONG_EDIT[case]
    assert wrong.old in WITH_EDIT
    path = tmp_path / "wrong.toml"
    path.write_text(WITH_EDIT.replace(wrong.old, wrong.new))
    with pytest.raises(UserError, match=wrong.message):
        suites.load(str(path))


def test_editing_alone_ranks_nobody():
    edit = AttackSpec(name="edit", mimicry="edit", model="mini-a")
    suite = tiny.suite(attacks=[edit], mimicry={"edit": {}}, edit_prompts=["a boat"], rank_by="worst-case")
    with pytest.raises(UserError, match=r"imitates the style \(none here\), got 'worst-case'"):
        check(suite)


MATCHING = """
[matching]
metric = "mini-lpips"
targets = [0.05, 0.1, 0.2]
calibrated = [0.1]
tolerance = 0.01
artists = ["crosshatch"]

[matching.gates]
psnr = [40.0, 35.0, 35.0]
"""
WRONG_MATCHING = {
    "metric": Wrong('"mini-lpips"', '"dists"', r"matching needs metrics of metrics.quality \(mini-lpips.*got dists"),
    "gate": Wrong("psnr", "ssim", "matching needs metrics of metrics.quality .*got ssim"),
    "two targets": Wrong("0.1, 0.2]", "0.1]", r"matching\.targets: .*at least 3 items"),
    "same targets": Wrong("0.1, 0.2]", "0.1, 0.1]", r"targets must differ, got \[0.05, 0.1, 0.1\]"),
    "mixed targets": Wrong("0.1, 0.2]", "0.1, 0.07]", "targets must go from better to worse quality"),
    "mixed gate": Wrong("40.0, 35.0, 35.0", "40.0, 35.0, 36.0", "psnr must go from better to worse quality"),
    "wrong way": Wrong("[0.05, 0.1, 0.2]", "[0.2, 0.1, 0.05]", r"mini-lpips from better to worse \(lower is better\)"),
    "gate's wrong way": Wrong("40.0, 35.0, 35.0", "35.0, 35.0, 40.0", r"psnr from better to worse \(higher is better"),
    "no target": Wrong(
        "calibrated = [0.1]", "calibrated = [0.15]", r"some of the targets \[0.05, 0.1, 0.2\], .*got \[0.15\]"
    ),
    "tolerance": Wrong("tolerance = 0.01", "tolerance = 0.0", r"matching\.tolerance: .*greater than 0"),
    "nobody": Wrong('artists = ["crosshatch"]', "", "expected matching.artists"),
    "protected": Wrong('["crosshatch"]', '["vellmar"]', "must not be among the suite's artists, got vellmar"),
    "key": Wrong("tolerance", "tolerances", r"matching\.tolerances: Extra inputs"),
}


def test_a_suite_that_matches_quality_loads(tmp_path):
    path = tmp_path / "matching.toml"
    path.write_text(tiny.TEXT + MATCHING)
    suite = suites.load(str(path))
    assert suite.matching is not None
    assert (suite.matching.targets, suite.calibrated) == ([0.05, 0.1, 0.2], [0.1])
    assert tiny.suite().calibrated == []


@pytest.mark.parametrize("case", WRONG_MATCHING)
def test_a_wrong_table_of_matching_is_explained(tmp_path, case):
    wrong = WRONG_MATCHING[case]
    assert wrong.old in MATCHING
    path = tmp_path / "wrong.toml"
    path.write_text(tiny.TEXT + MATCHING.replace(wrong.old, wrong.new))
    with pytest.raises(UserError, match=wrong.message):
        suites.load(str(path))


def test_images_of_your_own_cannot_be_calibrated_on(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text((tiny.TEXT + MATCHING).replace('dataset = "mini"', 'dataset = "folder"'))
    with pytest.raises(UserError, match="images of your own"):
        suites.load(str(path))
