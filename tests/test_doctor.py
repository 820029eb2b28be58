from __future__ import annotations

import json
import shutil

import pytest
import tiny
from stub_hub import Hub

from cloakbench import doctor
from cloakbench.images import encode
from cloakbench.models import loader, registry
from cloakbench.suites import load as suites
from tests import rules


@pytest.fixture
def nowhere(monkeypatch, tmp_path, weights):
    """Embedded models alone: no folder in place of a hub model, no lock."""
    monkeypatch.setenv("CLOAKBENCH_MODELS", str(weights))
    monkeypatch.setenv("CLOAKBENCH_LOCK", str(tmp_path / "lock.json"))
    return tmp_path


@pytest.fixture
def painting(tmp_path):
    """A small suite on Stable Diffusion, and a collection to freeze its images from."""
    (tmp_path / "few.toml").write_text(rules.text("few", ["claude-monet"]))
    text = tiny.TEXT.replace('"mini-a"', '"sd15"').replace('"vellmar"', '"claude-monet"')
    text = text.replace('dataset = "mini"', f'dataset = "manifest"\nselection = "{tmp_path / "few.toml"}"')
    text = text.replace("images_per_artist = 3", "images_per_artist = 1")
    (tmp_path / "tiny.toml").write_text(text)
    (tmp_path / "wikiart" / "claude-monet").mkdir(parents=True)
    for n in range(3):
        (tmp_path / "wikiart" / "claude-monet" / f"{n}.png").write_bytes(encode(tiny.picture(n, 50, 50)))
    return tmp_path / "tiny.toml"


@pytest.fixture(autouse=True)
def no_claims(monkeypatch):
    """Asks no submission what it needs, which takes a process each; tests of readiness ask one."""
    monkeypatch.setattr(doctor, "_reasons", lambda *_: {})


def found(store, suite="painting", images=None, **options):
    return {check.name: check for check in doctor.examine(store / "store", suite, images, **options)}


def test_what_is_missing_is_said_with_every_way_to_get_it(nowhere):
    checks = found(nowhere, fetch=Hub({}))
    for alias in ("sd15", "sd21-base"):
        check = checks[f"model {alias}"]
        assert check.state == "missing"
        places = []
        for mirror in registry.find(alias).mirrors:
            places.append(check.detail.index(f"{mirror}: not here"))
        assert places == sorted(places)
        assert f"put a folder in diffusers layout at $CLOAKBENCH_MODELS/{alias}: model_index.json" in check.detail
        assert "\n" not in check.detail
    images = checks["images of painting"]
    assert images.state == "missing"
    assert "`cloakbench dataset freeze painting --from WIKIART --out FOLDER`" in images.detail
    assert not (nowhere / "lock.json").exists()


def test_weights_are_unverified_until_a_load_locks_them(sd_stand_ins, tmp_path):
    check = found(tmp_path)["model sd15"]
    assert (check.state, "the first load locks it" in check.detail) == ("unverified", True)
    assert not (tmp_path / "lock.json").exists()
    loader.load("sd15")
    assert found(tmp_path)["model sd15"].state == "ok"


def test_a_snapshot_of_a_mirror_counts(nowhere, sd_weights):
    second = registry.find("sd15").mirrors[1]
    checks = found(nowhere, fetch=Hub({second: sd_weights / "sd15"}))
    assert (checks["model sd15"].state, checks["model sd21-base"].state) == ("unverified", "missing")


def test_weights_that_changed_are_wrong(sd_stand_ins, tmp_path, monkeypatch):
    loader.load("sd15")
    shutil.copytree(sd_stand_ins / "sd21-base", tmp_path / "models" / "sd15")
    monkeypatch.setenv("CLOAKBENCH_MODELS", str(tmp_path / "models"))
    check = found(tmp_path)["model sd15"]
    assert (check.state, "changed: expected sha256" in check.detail) == ("wrong", True)


def test_half_a_folder_is_missing_what_it_lacks(sd_stand_ins, tmp_path, monkeypatch):
    shutil.copytree(sd_stand_ins / "sd15", tmp_path / "models" / "sd15")
    shutil.rmtree(tmp_path / "models" / "sd15" / "unet")
    monkeypatch.setenv("CLOAKBENCH_MODELS", str(tmp_path / "models"))
    check = found(tmp_path)["model sd15"]
    assert (check.state, check.detail.startswith("expected unet in ")) == ("missing", True)


def test_without_a_suite_hub_models_are_no_fault(nowhere):
    checks = {}
    for check in doctor.examine(nowhere / "store", fetch=Hub({})):
        checks[check.name] = check.state
    assert (checks["model sd15"], checks["model mini-a"]) == ("warning", "ok")
    assert not [name for name in checks if name.startswith("images of")]


def test_the_images_are_looked_at(cloakbench, painting, tmp_path):
    out = tmp_path / "images"
    result = cloakbench("dataset", "freeze", painting, "--from", tmp_path / "wikiart", "--out", out, "--json")
    assert (result.code, json.loads(result.out)) == (0, {"folder": str(out), "images": 2})
    check = found(tmp_path, str(painting), out)["images of tiny"]
    assert (check.state, check.detail) == ("ok", f"2 in {out}, all as their manifest says")
    next(out.glob("*/*.png")).write_bytes(b"")
    assert found(tmp_path, str(painting), out)["images of tiny"].state == "missing"
    folder = found(tmp_path, "folder", None)["images of folder"]
    assert (folder.state, folder.detail) == ("missing", "give a folder with --images")
    assert found(tmp_path, "folder", out)["images of folder"].state == "ok"


def test_the_command_ends_with_2_where_something_is_missing_or_wrong(cloakbench, painting, sd_stand_ins, tmp_path):
    freeze = ("dataset", "freeze", painting, "--from", tmp_path / "wikiart", "--out", tmp_path / "images")
    assert cloakbench(*freeze).code == 0
    ask = ("doctor", "--suite", painting, "--store", tmp_path / "store")
    assert cloakbench(*ask).code == 2
    result = cloakbench(*ask, "--images", tmp_path / "images")
    assert result.code == 0, result.out
    assert "unverified" in result.out


@pytest.mark.usefixtures("sd_stand_ins")
def test_the_suite_plans_on_frozen_images(cloakbench, painting, tmp_path):
    freeze = ("dataset", "freeze", painting, "--from", tmp_path / "wikiart", "--out", tmp_path / "images")
    assert cloakbench(*freeze).code == 0
    run = ("run", painting, "--protection", "placebo", "--store", tmp_path / "store", "--dry-run", "--json")
    result = cloakbench(*run, "--images", tmp_path / "images")
    assert (result.code, json.loads(result.out or "{}").get("missing")) == (0, 7), result.err
    assert not (tmp_path / "lock.json").exists()
    assert suites.load(str(painting)).surrogate == "sd15"


def test_the_weights_of_a_suites_metrics_are_told_one_by_one(nowhere, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(nowhere / "torch"))
    path = nowhere / "tiny.toml"
    path.write_text(tiny.TEXT.replace('"psnr", "linf"]', '"psnr", "dists"]'))
    folder = nowhere / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "vgg16-397923af.pth").write_bytes(b"other")
    checks = found(nowhere, str(path))
    assert (checks["metric psnr"].state, checks["metric psnr"].detail) == ("ok", "needs no weights")
    assert checks["metric mini-lpips"].detail == "mini-lpips.safetensors: ok"
    assert checks["metric dists"].state == "missing"
    assert "vgg16-397923af.pth: repacked, DISTS_weights-f5e65c96.pth: missing" in checks["metric dists"].detail
    assert "TORCH_HOME" in checks["metric dists"].detail
