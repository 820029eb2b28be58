from __future__ import annotations

import shutil

import pytest
from stub_hub import COMMIT, Hub

from cloakbench.errors import UserError
from cloakbench.models import hub, registry
from cloakbench.models.aliases import MODELS
from cloakbench.models.hub import HubSource, NotOnHub


def test_the_first_mirror_that_answers_is_taken(sd_weights):
    ours = Hub({"b": sd_weights / "sd15", "c": sd_weights / "sd15"})
    listing = hub.find("sd15", [HubSource("a"), HubSource("b", "1234"), HubSource("c")], ours)
    assert listing == ("b", (sd_weights / "sd15", COMMIT))
    assert ours.asked == [("a", ""), ("b", "1234")]


def test_a_mirror_that_lacks_a_part_is_passed_over(sd_weights, tmp_path):
    half = tmp_path / "half"
    shutil.copytree(sd_weights / "sd15", half)
    next((half / "unet").glob("*.safetensors")).rename(half / "unet" / "diffusion_pytorch_model.bin")
    shutil.rmtree(half / "scheduler")
    assert hub.lacking(half) == ["scheduler", "unet/*.safetensors"]
    assert hub.find("sd15", [HubSource("a"), HubSource("b")], Hub({"a": half, "b": sd_weights / "sd15"})).mirror == "b"
    with pytest.raises(UserError, match=r"a: lacks scheduler, unet/\*\.safetensors"):
        hub.find("sd15", [HubSource("a")], Hub({"a": half}))


@pytest.mark.parametrize("alias", [facts.name for facts in MODELS if facts.mirrors])
def test_where_no_mirror_answers_all_are_named_with_the_way_out(bare, monkeypatch, alias):
    fault = RuntimeError("404 Client Error.\nmore")
    for offline, said in (("1", "HF_HUB_OFFLINE is set"), ("", "To download it, connect to the hub")):
        monkeypatch.setenv("HF_HUB_OFFLINE", offline)
        with pytest.raises(UserError, match=f"the weights of {alias!r} from one of its mirrors") as caught:
            registry.locate(alias, Hub({}, fault))
        positions = [caught.value.message.index(m) for m in registry.find(alias).mirrors]
        assert positions == sorted(positions)
        assert caught.value.message.count("RuntimeError: 404 Client Error.") == len(positions)
        assert said in caught.value.hint
        first = "model_index.json and the folders" if registry.find(alias).parts else "config.json and diffusion_"
        assert f"$CLOAKBENCH_MODELS/{alias}: {first}" in caught.value.hint
    assert not (bare / "lock.json").exists()


def test_the_sentence_that_says_to_log_in_is_part_of_the_message():
    text = "401 Client Error. (Request ID: 1)\n\nCannot access gated repo for url x.\nYou must log in.\nMore."
    with pytest.raises(UserError, match=r"Cannot access gated repo for url x\. You must log in\.") as caught:
        hub.find("sd15", [HubSource("a")], Hub({}, RuntimeError(text)))
    assert "More" not in caught.value.message


@pytest.mark.parametrize("fetch", [hub.cached, hub.download])
def test_offline_an_empty_cache_is_said_at_once(bare, monkeypatch, fetch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(NotOnHub, match="not in the local Hugging Face cache"):
        fetch("nobody/no-such-model-as-this", "")


@pytest.mark.parametrize(("value", "offline"), [("1", True), ("true", True), ("", False), ("0", False)])
def test_offline_is_what_the_library_takes_for_it(monkeypatch, value, offline):
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    assert hub.is_offline() is offline


def test_a_folder_of_the_variable_comes_before_the_hub(sd_stand_ins, monkeypatch, tmp_path):
    ours = Hub({})
    assert registry.locate("sd15", ours) == (sd_stand_ins / "sd15", "", "")
    assert ours.asked == []
    (tmp_path / "sd15").mkdir()
    monkeypatch.setenv("CLOAKBENCH_MODELS", str(tmp_path))
    with pytest.raises(UserError, match=r"expected model_index\.json, scheduler, .* in .*sd15, found none"):
        registry.locate("sd15", ours)


def test_the_cache_is_read_by_commit_and_only_what_is_needed(bare, sd_weights, monkeypatch):
    """The layout of a Hugging Face cache, made by hand."""
    import huggingface_hub.constants

    repository = bare / "hub" / "models--some--model"
    shutil.copytree(sd_weights / "sd15", repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(bare / "hub"))
    assert hub.cached("some/model", "") == (repository / "snapshots" / COMMIT, COMMIT)
    assert hub.cached("some/model", COMMIT).revision == COMMIT


def test_the_sentence_that_says_to_accept_a_licence_is_kept():
    def gated(mirror, revision, /):
        raise OSError("401 Client Error. (Request ID: 1)\n\nCannot access the repository.\nAccept its licence first.")

    with pytest.raises(UserError, match="Accept its licence first"):
        hub.find("sd15", [hub.HubSource("somebody/sd15")], gated)
