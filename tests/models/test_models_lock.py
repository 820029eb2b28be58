from __future__ import annotations

import dataclasses
import json
import shutil

import pytest
from stub_hub import COMMIT, Hub

from cloakbench.errors import UserError
from cloakbench.models import loader, lock, registry

FIRST, SECOND = registry.find("sd15").mirrors


def stored(folder):
    return json.loads((folder / "lock.json").read_text())


def test_the_first_load_locks_mirror_commit_and_digest(bare, sd_weights):
    ours = Hub({SECOND: sd_weights / "sd15"})
    model = loader.load("sd15", fetch=ours)
    expected = {"mirror": SECOND, "revision": COMMIT, "digest": model.digest}
    assert stored(bare) == {"sd15": expected}
    before = (bare / "lock.json").read_bytes()
    assert loader.load("sd15", fetch=ours) is model
    assert (bare / "lock.json").read_bytes() == before
    assert ours.asked == [(FIRST, ""), (SECOND, ""), (SECOND, COMMIT)]


def test_other_weights_than_the_locked_ones_are_refused(bare, sd_weights, tmp_path):
    loader.load("sd15", fetch=Hub({FIRST: sd_weights / "sd15"}))
    other = tmp_path / "other"
    shutil.copytree(sd_weights / "sd15", other)
    (other / "scheduler" / "scheduler_config.json").write_text(
        (other / "scheduler" / "scheduler_config.json").read_text().replace("0.012", "0.011")
    )
    before = (bare / "lock.json").read_bytes()
    with pytest.raises(UserError, match="the weights of 'sd15' changed") as caught:
        loader.load("sd15", fetch=Hub({SECOND: other}))
    for digest in (registry.digest(sd_weights / "sd15"), registry.digest(other)):
        assert digest in caught.value.message
    assert f"{FIRST} at {COMMIT}" in caught.value.message
    assert (bare / "lock.json").read_bytes() == before


def test_a_local_folder_is_locked_too(sd_stand_ins, tmp_path):
    model = loader.load("sd21-base")
    assert stored(tmp_path) == {"sd21-base": {"mirror": "", "revision": "", "digest": model.digest}}
    loader.load("sd15")
    assert list(stored(tmp_path)) == ["sd15", "sd21-base"]


def test_embedded_models_and_folders_by_path_need_no_lock(sd_stand_ins, tmp_path):
    loader.load("mini-a")
    loader.load(str(sd_stand_ins / "sd15"))
    assert not (tmp_path / "lock.json").exists()
    registry.require_lock(["mini-a", "mini-b"])


def test_an_official_run_needs_every_model_in_the_lock(sd_stand_ins, tmp_path):
    loader.load("sd15")
    registry.require_lock(["sd15", "mini-a"])
    with pytest.raises(UserError, match=r"every model in the lock file .*lock\.json, got none of sd21, sd21-base"):
        registry.require_lock(["sd21-base", "sd15", "sd21"])


def test_keys_take_the_locked_digest_so_that_planning_needs_no_weights(bare, sd_weights):
    loader.load("sd15", fetch=Hub({FIRST: sd_weights / "sd15"}))
    assert registry.model_digest("sd15") == registry.digest(sd_weights / "sd15")
    assert registry.model_digest("mini-a") == registry.digest(registry.WEIGHTS / "mini-a")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"sd15": 1}', '{"sd15": {"mirror": "a"}}', "\xff"])
def test_a_damaged_lock_is_explained(bare, text):
    (bare / "lock.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=r"expected a lock file at .*lock\.json, got one that cannot be read"):
        lock.read()


def test_a_lock_that_cannot_be_written_is_explained(bare, monkeypatch):
    (bare / "file").write_text("")
    monkeypatch.setenv("CLOAKBENCH_LOCK", str(bare / "file" / "lock.json"))
    with pytest.raises(UserError, match="expected a lock file"):
        lock.record("sd15", lock.LockedModel(mirror="a", revision="", digest="b"))


def test_a_digest_in_the_registry_is_held(sd_weights):
    facts = dataclasses.replace(registry.find("sd15"), digest="0" * 64)
    with pytest.raises(UserError, match=f"expected weights of 'sd15' with sha256 {'0' * 64}"):
        registry.verify(facts, registry.Located(sd_weights / "sd15"))


def test_what_is_not_loaded_does_not_count(sd_weights, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(sd_weights / "sd15", copy)
    (copy / "safety_checker").mkdir()
    for name in ("safety_checker/config.json", "v1-5.safetensors", "unet/diffusion_pytorch_model.fp16.safetensors"):
        (copy / name).write_text("{}")
    assert registry.digest(copy) == registry.digest(sd_weights / "sd15")
    (copy / "unet" / "config.json").write_text("{}")
    registry.digest.cache_clear()
    assert registry.digest(copy) != registry.digest(sd_weights / "sd15")
