from __future__ import annotations

import json
import shutil

import pytest
import sd_shaped
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextModel

from cloakbench.errors import UserError
from cloakbench.models import hub, loader, registry
from cloakbench.models.aliases import MODELS

FAMILY = [facts for facts in MODELS if facts.latent_family == "sd-kl-f8"]
OTHERS = [facts for facts in MODELS if facts.mirrors and facts not in FAMILY]


def test_the_registry_states_what_the_issue_asks_for():
    facts_by_name = {m.name: (m.prediction, m.image_size) for m in FAMILY}
    assert facts_by_name == {
        "sd15": ("epsilon", 512),
        "sd15-inpaint": ("epsilon", 512),
        "instruct-pix2pix": ("epsilon", 512),
        "sd21-base": ("epsilon", 512),
        "sd21": ("v_prediction", 768),
    }
    assert {m.name: m.image_size for m in OTHERS} == {"sd-x4-upscaler": 512, "sdxl-vae": 1024, "sdxl": 1024}
    for m in FAMILY:
        assert "CreativeML OpenRAIL" in m.licence
    assert {m.name: m.licence for m in FAMILY}["sd21"].endswith("++-M")
    removed = ("runwayml/", "stabilityai/stable-diffusion-2")
    assert not [mirror for m in (*FAMILY, *OTHERS) for mirror in m.mirrors if mirror.startswith(removed)]


def test_nothing_is_claimed_that_nobody_has_seen():
    assert {(m.revision, m.digest) for m in MODELS} == {("", "")}


@pytest.mark.parametrize("shape", sd_shaped.SHAPES, ids=lambda s: s.alias)
@pytest.mark.usefixtures("sd_stand_ins")
def test_models_of_both_lines_load_and_go_round(shape):
    model = loader.load(shape.alias)
    parts = (model.vae, model.unet, model.text_encoder)
    assert [type(part) for part in parts] == [AutoencoderKL, UNet2DConditionModel, CLIPTextModel]
    for part in parts:
        for p in part.parameters():
            assert not p.requires_grad
    assert (model.name, model.facts) == (shape.alias, registry.find(shape.alias))
    assert model.scheduler.config.prediction_type == shape.prediction
    context = model.embed(["a painting of a boat in the style of sks"])
    assert context.shape == (1, 77, shape.context)
    noisy = torch.zeros((1, shape.channels, 16, 16))
    predicted = model.unet(noisy, torch.tensor([5]), encoder_hidden_states=context).sample
    assert predicted.shape == (1, 4, 16, 16)
    assert predicted.isfinite().all()
    assert model.decode(predicted.detach()).shape == (1, 3, 128, 128)


@pytest.mark.usefixtures("sd_stand_ins")
def test_weights_come_in_the_precision_asked_for():
    half = loader.load("sd15", dtype=torch.bfloat16)
    assert {p.dtype for part in (half.vae, half.unet, half.text_encoder) for p in part.parameters()} == {torch.bfloat16}
    assert half.embed(["a boat"]).dtype == torch.bfloat16
    assert loader.load("sd15").digest == half.digest


@pytest.mark.usefixtures("sd_stand_ins")
def test_surrogate_and_transfer_target_stay_loaded_together():
    surrogate, target = loader.load("sd15"), loader.load("sd21-base")
    assert loader.load("sd15") is surrogate
    assert loader.load("sd21-base") is target


def test_another_prediction_than_the_alias_has_is_refused(sd_stand_ins, tmp_path, monkeypatch):
    shutil.copytree(sd_stand_ins / "sd21", tmp_path / "models" / "sd21-base")
    monkeypatch.setenv("CLOAKBENCH_MODELS", str(tmp_path / "models"))
    with pytest.raises(UserError, match="expected 'sd21-base' to predict epsilon, got v_prediction"):
        loader.load("sd21-base")
    assert not (tmp_path / "lock.json").exists()


@pytest.mark.usefixtures("sd_stand_ins")
def test_other_pipelines_and_pickled_weights_are_refused(sd_weights, tmp_path):
    folder = tmp_path / "other"
    shutil.copytree(sd_weights / "sd15", folder)
    index = json.loads((folder / "model_index.json").read_text())
    for kind in ("StableDiffusion3Pipeline", "FluxPipeline"):
        (folder / "model_index.json").write_text(json.dumps({**index, "_class_name": kind}))
        with pytest.raises(UserError, match=rf"expected a StableDiffusionPipeline or .* got a {kind}") as caught:
            loader.load(str(folder))
        assert "transformer" in caught.value.hint
    (folder / "model_index.json").write_text("[]")
    with pytest.raises(UserError, match="pipeline's class"):
        loader.load(str(folder))
    (folder / "model_index.json").write_text(json.dumps({**index, "_class_name": "StableDiffusionXLPipeline"}))
    with pytest.raises(UserError, match="text_encoder_2"):
        loader.load(str(folder))
    (folder / "model_index.json").write_text(json.dumps(index))
    weights = next((folder / "vae").glob("*.safetensors"))
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(UserError, match="does not load") as caught:
        loader.load(str(folder))
    assert "weights as .safetensors" in caught.value.hint


@pytest.mark.usefixtures("sd_stand_ins")
def test_stable_diffusion_xl_loads_by_its_alias_and_in_half_precision_where_only_that_is_there(sd_weights, tmp_path):
    model = loader.load("sdxl")
    assert (model.name, model.facts.image_size, model.divisor) == ("sdxl", 1024, 8)
    assert isinstance(model.unet, UNet2DConditionModel)
    folder = tmp_path / "half"
    shutil.copytree(sd_weights / "sdxl", folder)
    whole = registry.digest(folder)
    for part in ("unet", "text_encoder_2"):
        weights = next((folder / part).glob("*.safetensors"))
        weights.rename(weights.with_name(weights.name.replace(".safetensors", ".fp16.safetensors")))
    registry.digest.cache_clear()
    assert registry.digest(folder) != whole
    assert torch.equal(loader.load(str(folder)).embed(["a boat"]), model.embed(["a boat"]))
    shutil.rmtree(folder / "text_encoder_2")
    with pytest.raises(UserError, match="does not load"):
        loader.load(str(folder))


def test_a_second_text_encoder_is_one_of_the_parts_that_a_mirror_must_hold(sd_weights, tmp_path):
    folder = tmp_path / "sdxl"
    shutil.copytree(sd_weights / "sdxl", folder)
    parts = registry.find("sdxl").parts
    assert hub.lacking(folder, parts) == []
    next((folder / "text_encoder_2").glob("*.safetensors")).unlink()
    assert hub.lacking(folder, parts) == ["text_encoder_2/*.safetensors"]
