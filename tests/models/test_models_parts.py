"""Hub models that are no plain pipeline: a bare autoencoder, and an upscaler with one part more."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from diffusers import AutoencoderKL, StableDiffusionUpscalePipeline
from stub_hub import COMMIT, Hub

from cloakbench.errors import UserError
from cloakbench.models import autoencoders, hub, registry, upscalers

CPU = torch.device("cpu")


def copied(source, target):
    shutil.copytree(source, target)
    return target


@pytest.mark.parametrize("alias", ["sdxl-vae", "sd-x4-upscaler"])
def test_a_mirror_with_the_right_files_answers(bare, sd_weights, alias):
    [mirror] = registry.find(alias).mirrors
    located = registry.locate(alias, Hub({mirror: sd_weights / alias}))
    assert located == (sd_weights / alias, mirror, COMMIT)


def test_the_autoencoder_loads_without_a_pipeline_and_is_locked(sd_stand_ins, tmp_path):
    loaded = autoencoders.load("sdxl-vae", CPU, torch.float32)
    assert isinstance(loaded.module, AutoencoderKL)
    assert loaded.divisor == 8
    locked = json.loads((tmp_path / "lock.json").read_text())
    assert locked["sdxl-vae"]["digest"] == registry.digest(sd_stand_ins / "sdxl-vae")


def test_the_upscaler_loads_and_is_locked(sd_stand_ins, tmp_path):
    loaded = upscalers.load("sd-x4-upscaler", CPU, torch.float32)
    assert isinstance(loaded, StableDiffusionUpscalePipeline)
    assert loaded.scheduler.config.prediction_type == "v_prediction"
    for p in loaded.unet.parameters():
        assert not p.requires_grad
    locked = json.loads((tmp_path / "lock.json").read_text())
    assert locked["sd-x4-upscaler"]["digest"] == registry.digest(sd_stand_ins / "sd-x4-upscaler")


def test_the_scheduler_of_small_images_is_part_of_the_upscalers_digest(sd_weights, tmp_path):
    before = registry.digest(sd_weights / "sd-x4-upscaler")
    copy = copied(sd_weights / "sd-x4-upscaler", tmp_path / "copy")
    assert registry.digest(copy) == before
    config = copy / "low_res_scheduler" / "scheduler_config.json"
    config.write_text(config.read_text().replace("0.02", "0.03"))
    registry.digest.cache_clear()
    assert registry.digest(copy) != before
    shutil.rmtree(copy / "low_res_scheduler")
    assert hub.lacking(copy, hub.UPSCALER_PARTS) == ["low_res_scheduler"]
    assert hub.lacking(copy) == []


def test_other_forms_of_a_bare_autoencoder_do_not_count(sd_weights, tmp_path):
    copy = copied(sd_weights / "sdxl-vae", tmp_path / "copy")
    for name in ("sdxl_vae.safetensors", "diffusion_pytorch_model.fp16.safetensors", "notes.txt"):
        (copy / name).write_text("{}")
    assert registry.digest(copy) == registry.digest(sd_weights / "sdxl-vae")
    (copy / "diffusion_pytorch_model.safetensors").unlink()
    assert hub.lacking(copy, ()) == ["diffusion_pytorch_model.safetensors"]


def test_a_pipeline_in_place_of_the_bare_autoencoder_is_refused(sd_weights, tmp_path, monkeypatch):
    copied(sd_weights / "sd15", tmp_path / "sdxl-vae")
    monkeypatch.setenv("CLOAKBENCH_MODELS", str(tmp_path))
    with pytest.raises(UserError, match=r"expected config\.json, diffusion_pytorch_model\.safetensors in") as caught:
        registry.locate("sdxl-vae", Hub({}))
    assert "/sdxl-vae: config.json and diffusion_pytorch_model.safetensors." in caught.value.hint


@pytest.mark.parametrize("alias", ["mini-a", "sdxl-vae"])
def test_what_is_no_upscaler_is_refused(sd_stand_ins, alias):
    with pytest.raises(UserError, match="expected a StableDiffusionUpscalePipeline in"):
        upscalers.load(alias, CPU, torch.float32)
