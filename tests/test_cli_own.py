"""The verbs for a user's own images: attack and mimic (protect has its tests in test_cli_protect.py)."""

from __future__ import annotations

import dataclasses
import json
import signal

import numpy as np
import pytest
import tiny
from safetensors import safe_open

from cloakbench import images
from cloakbench.attacks import catalogue
from cloakbench.attacks.mimicry import sampling
from cloakbench.errors import UserError
from cloakbench.files import PARTIAL
from cloakbench.folders import clean, mimic, outputs
from cloakbench.submissions import guard
from cloakbench.suites import load as suites
from tests import refused_pictures
from tests.own_images import SUITE, as_jpeg, fails_from, pixels, written_files
from tests.waiting import wait_until


@pytest.fixture
def suite(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(SUITE)
    return path


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "one.png").write_bytes(images.encode(tiny.picture(1, 93, 131)))
    (folder / "two.png").write_bytes(images.encode(tiny.picture(2)))
    return folder


def test_a_countermeasure_cleans_own_images_of_any_size(cloakbench, photos, suite, tmp_path):
    result = cloakbench("clean", "jpeg", "--in", photos, "--out", tmp_path / "out", "--suite", suite, "--json")
    assert result.code == 0
    assert [row["file"] for row in json.loads(result.out)] == ["one.png", "two.png"]
    assert np.array_equal(pixels(tmp_path / "out" / "one.png"), as_jpeg(tiny.picture(1, 93, 131), 40))


def test_a_chain_is_one_countermeasure_after_the_other(cloakbench, photos, suite, tmp_path):
    for name, source in (("noise", photos), ("jpeg", tmp_path / "noise"), ("noise+jpeg", photos)):
        result = cloakbench("clean", name, "--in", source, "--out", tmp_path / name, "--suite", suite)
        assert result.code == 0, result.err
    for file in ("one.png", "two.png"):
        assert np.array_equal(pixels(tmp_path / "noise+jpeg" / file), pixels(tmp_path / "jpeg" / file))


def test_another_model_takes_the_place_of_a_named_one_alone():
    """The upscaler of noisy-upscale stays: beside it there is no room for a base model."""
    suite = suites.load("painting")
    for name, expected in (("impress", "mini-a"), ("noisy-upscale", None), ("vae-trans", None)):
        assert clean._settings(catalogue.find("countermeasure", name), suite, "mini-a").get("model") == expected


def test_a_repeated_countermeasure_draws_anew(cloakbench, photos, suite, tmp_path):
    for name, source in (("noise", photos), ("again", tmp_path / "noise"), ("noise+noise", photos)):
        verb = "noise" if name == "again" else name
        assert cloakbench("clean", verb, "--in", source, "--out", tmp_path / name, "--suite", suite).code == 0
    chain, same = pixels(tmp_path / "noise+noise" / "two.png"), pixels(tmp_path / "again" / "two.png")
    assert not np.array_equal(chain, same)
    added = [np.asarray(p, float) - pixels(photos / "two.png") for p in (chain, same)]
    assert added[0].std() == pytest.approx(added[1].std() / 2**0.5, rel=0.05)


@pytest.mark.parametrize("name", ["lora", "textual-inversion", "dreambooth"])
def test_a_mimic_learns_own_images_and_generates(cloakbench, stand_ins, photos, suite, tmp_path, name):
    out = tmp_path / "out"
    asked = ["--prompt", "a boat in the style of {token}", "a {class_word}", "--count", 2]
    result = cloakbench("mimic", name, "--in", photos, "--out", out, *asked, "--suite", suite, "--json")
    assert result.code == 0, result.err
    rows = json.loads(result.out)
    image_rows = [row for row in rows if row["prompt"]]
    assert [row["prompt"] for row in image_rows] == ["a boat in the style of sks"] * 2 + ["a painting"] * 2
    for row in image_rows:
        assert pixels(out / row["file"]).shape == (128, 128, 3)
    assert (out / "adapter.safetensors").exists() == (name != "dreambooth")
    assert {row["file"] for row in rows} == {path.name for path in out.iterdir() if not path.name.startswith(".")}


def test_an_adapter_says_its_rank_and_alpha(cloakbench, stand_ins, photos, suite, tmp_path):
    asked = ["--prompt", "a boat", "--count", 1, "--suite", suite]
    assert cloakbench("mimic", "lora", "--in", photos, "--out", tmp_path / "out", *asked).code == 0
    with safe_open(tmp_path / "out" / "adapter.safetensors", "pt") as file:
        said = json.loads(file.metadata()["lora_adapter_metadata"])
    assert (said["unet.r"], said["unet.lora_alpha"]) == (2, 4.0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["clean", "jpg"], "Did you mean"),
        (["clean", "blur"], "has settings for (jpeg, noise), got 'blur'"),
        (["mimic", "loro", "--prompt", "x"], "Did you mean"),
        (["mimic", "dreamstyler", "--prompt", "x"], "has settings for"),
        (["mimic", "lora", "--prompt", "a {artist}"], "expected no placeholder but"),
    ],
)
def test_wrong_names_and_prompts_end_with_2(cloakbench, photos, suite, tmp_path, arguments, said):
    result = cloakbench(*arguments, "--in", photos, "--out", tmp_path / "out", "--suite", suite)
    assert result.code == 2
    assert said in result.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("verb", [["clean", "jpeg"], ["mimic", "lora", "--prompt", "x"]])
def test_originals_are_never_replaced(cloakbench, photos, suite, verb):
    result = cloakbench(*verb, "--in", photos, "--out", photos, "--suite", suite)
    assert result.code == 2
    assert "expected another folder than --in" in result.err


def test_a_file_that_the_verb_did_not_write_is_never_replaced(cloakbench, photos, suite, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "one.png").write_bytes(images.encode(tiny.picture(9)))
    before = (out / "one.png").read_bytes()
    result = cloakbench("clean", "jpeg", "--in", photos, "--out", out, "--suite", suite)
    assert result.code == 2
    assert "one.png" in result.err
    assert (out / "one.png").read_bytes() == before
    assert not (out / "two.png").exists()


def test_a_verb_may_replace_its_own_results(cloakbench, photos, suite, tmp_path):
    out = tmp_path / "out"
    for name in ("jpeg", "noise"):
        assert cloakbench("clean", name, "--in", photos, "--out", out, "--suite", suite).code == 0
    (out / "two.png").write_bytes(images.encode(tiny.picture(9)))  # drawn over by its owner
    result = cloakbench("clean", "jpeg", "--in", photos, "--out", out, "--suite", suite)
    assert result.code == 2
    assert np.array_equal(pixels(out / "two.png"), tiny.picture(9))


@pytest.mark.parametrize("count", [0, -1])
def test_no_image_per_prompt_is_refused_before_the_training(cloakbench, photos, suite, tmp_path, monkeypatch, count):
    monkeypatch.setattr("cloakbench.models.loader.load", lambda *_: pytest.fail("a model was loaded"))
    options = ["--prompt", "a boat", "--count", count, "--suite", suite]
    result = cloakbench("mimic", "lora", "--in", photos, "--out", tmp_path / "out", *options)
    assert result.code == 2
    assert f"--count of 1 or more, got {count}" in result.err


@pytest.mark.parametrize(
    "damage", [refused_pictures.transparent, refused_pictures.animated, refused_pictures.unreadable]
)
@pytest.mark.parametrize(
    "verb", [["protect", "placebo"], ["clean", "jpeg"], ["mimic", "lora", "--prompt", "x"], ["measure", "psnr"]]
)
def test_every_verb_refuses_the_same_pictures_by_name(cloakbench, stand_ins, photos, suite, tmp_path, verb, damage):
    damage(photos / "zoo.png")
    paths = ["--in", photos, "--out", tmp_path / "out"]
    if verb[0] == "measure":
        paths = ["--image", photos, "--reference", photos]
    result = cloakbench(*verb, *paths)
    assert result.code == 2
    assert "zoo.png" in result.err
    assert not (tmp_path / "out").exists()


def test_a_countermeasure_that_fails_leaves_the_images_cleaned_before(
    cloakbench, stand_ins, photos, suite, tmp_path, monkeypatch
):
    stage = clean._Chain
    fails_from(stage.clean, 2, monkeypatch, stage, "clean")
    ended = cloakbench("clean", "jpeg", "--in", photos, "--out", tmp_path / "out", "--suite", suite)
    assert ended.code == 2
    assert "1 of 2 files" in ended.err
    assert written_files(tmp_path / "out") == ["one.png"]
    assert np.array_equal(pixels(tmp_path / "out" / "one.png"), as_jpeg(tiny.picture(1, 93, 131), 40))


def test_a_protection_that_fails_leaves_the_sizes_done_before(cloakbench, stand_ins, photos, tmp_path, monkeypatch):
    fails_from(guard.run, 2, monkeypatch, guard, "run")
    ended = cloakbench("protect", "random-noise", "--in", photos, "--out", tmp_path / "out")
    assert ended.code == 2
    assert "1 of 2 files" in ended.err
    assert written_files(tmp_path / "out") == ["one.png"]


def test_each_size_is_named_before_its_steps(cloakbench, stand_ins, photos, tmp_path):
    (photos / "three.png").write_bytes((photos / "two.png").read_bytes())
    ended = cloakbench("protect", "placebo", "--in", photos, "--out", tmp_path / "out")
    assert ended.code == 0
    assert "3 images of 2 sizes" in ended.err
    assert "131 x 93 pixels: one.png" in ended.err
    assert "three.png and 1 more" in ended.err


def test_a_mimic_that_fails_leaves_its_adapter_and_the_images_generated_before(
    cloakbench, stand_ins, photos, suite, tmp_path, monkeypatch
):
    monkeypatch.setattr(mimic, "AT_ONCE", 1)
    fails_from(sampling.generate, 3, monkeypatch, sampling, "generate")
    out = tmp_path / "out"
    ended = cloakbench("mimic", "lora", "--in", photos, "--out", out, "--prompt", "a boat", "--count", 4)
    assert ended.code == 2
    assert written_files(out) == ["000.png", "001.png", "adapter.safetensors"]


def test_how_many_are_generated_together_is_not_part_of_the_result(
    cloakbench, stand_ins, photos, suite, tmp_path, monkeypatch
):
    for count in (1, 4):
        monkeypatch.setattr(mimic, "AT_ONCE", count)
        paths = ["--in", photos, "--out", tmp_path / str(count), "--suite", suite]
        assert cloakbench("mimic", "lora", *paths, "--prompt", "a boat", "--count", 3).code == 0
    for name in ("000.png", "001.png", "002.png"):
        change = pixels(tmp_path / "1" / name).astype(int) - pixels(tmp_path / "4" / name)
        assert abs(change).max() <= 1


@pytest.mark.parametrize("name", sorted(suites.load("mini").countermeasures))
def test_images_cleaned_one_by_one_are_those_cleaned_together(stand_ins, name, monkeypatch):
    facts = catalogue.find("countermeasure", name)
    assert not facts.whole_set
    pictures = [tiny.picture(1, 64, 64), tiny.picture(2, 64, 64)]
    single = list(clean.clean_images(name, pictures, "mini"))
    monkeypatch.setattr(clean.catalogue, "chain", lambda _: [dataclasses.replace(facts, whole_set=True)])
    together = list(clean.clean_images(name, pictures, "mini"))
    for first, second in zip(single, together, strict=True):
        assert abs(first.astype(int) - second).max() <= 1


@pytest.mark.parametrize(
    "verb", [["protect", "placebo"], ["clean", "jpeg"], ["mimic", "lora", "--prompt", "a boat", "--count", 1]]
)
def test_a_name_that_the_disk_does_not_take_is_known_before_the_first_picture(
    cloakbench, stand_ins, photos, tmp_path, verb, monkeypatch
):
    long_name = "x" * 200 + ".png"
    (photos / "two.png").rename(photos / long_name)
    monkeypatch.setattr(mimic, "ADAPTER", long_name)
    out = tmp_path
    while len(str(out)) < 3900:  # a path may have 4,096 characters
        out = out / ("d" * 90)
    out.mkdir(parents=True)
    ended = cloakbench(*verb, "--in", photos, "--out", out)
    assert ended.code == 2
    assert "can be written" in ended.err
    assert long_name in ended.err
    assert not list(out.iterdir())


def test_names_are_tried_out_in_the_folder_that_they_are_for(tmp_path):
    with (
        pytest.raises(UserError, match="can be written"),
        outputs.opened(tmp_path / "new", ["short.png"], "clean") as output,
    ):
        outputs._try_names(tmp_path / "new", ["short.png", "x" * 300])
    assert output.written == 0
    assert not (tmp_path / "new").exists()


def test_a_killed_command_leaves_whole_pictures(forks, tmp_path):
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    (photos / "0.png").write_bytes(images.encode(tiny.picture(0, 1024, 1024)))
    for number in range(1, 10):
        (photos / f"{number}.png").write_bytes((photos / "0.png").read_bytes())
    command = forks.start("clean", "noise", "--in", photos, "--out", out)
    wait_until(lambda: command.poll() is not None or list(out.glob("[0-9].png")), "a picture", pause_s=0.01)
    assert command.poll() is None
    command.send_signal(signal.SIGKILL)
    command.communicate()
    names = written_files(out)
    assert 0 < len(names) < 10
    for name in names:
        assert pixels(out / name).shape == (1024, 1024, 3)
    others = set()
    for path in out.iterdir():
        if path.name not in names:
            others.add(path.name)
    for name in others:
        assert name.startswith(PARTIAL) or name == ".cloakbench-clean.json"
