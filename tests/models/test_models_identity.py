"""What a folder has to be for its alias, and which of its files load."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from diffusers import (
    DDPMScheduler,
    DEISMultistepScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    PNDMScheduler,
    UniPCMultistepScheduler,
)

from cloakbench import whitebox
from cloakbench.attacks.mimicry import sampling
from cloakbench.attacks.mimicry.finetune import at_own_size, posterior
from cloakbench.errors import UserError
from cloakbench.models import hub, loader, registry
from cloakbench.schemas.suite import Diffusing

SAMPLERS = (
    DPMSolverMultistepScheduler,
    DEISMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    PNDMScheduler,
    UniPCMultistepScheduler,
)


@pytest.fixture
def folder(sd_weights, tmp_path):
    """A copy of the narrow sd15."""
    return shutil.copytree(sd_weights / "sd15", tmp_path / "community")


@pytest.fixture
def alias_folders(sd_weights, tmp_path, monkeypatch):
    """Returns a function that puts a narrow model's folder under an alias."""
    monkeypatch.setenv("CLOAKBENCH_MODELS", str(tmp_path / "models"))

    def put(shape, alias):
        return shutil.copytree(sd_weights / shape, tmp_path / "models" / alias)

    return put


def noised_by_hand(latents, noise, times):
    """sqrt(a) x + sqrt(1 - a) eps, with the betas of Stable Diffusion."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    kept = torch.cumprod(1 - betas, 0)[times].view(-1, 1, 1, 1)
    return kept.sqrt() * latents + (1 - kept).sqrt() * noise


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("kind", SAMPLERS, ids=lambda kind: kind.__name__)
def test_training_noise_does_not_depend_on_the_sampler_of_the_folder(folder, kind, prediction):
    config = PNDMScheduler.from_pretrained(folder / "scheduler").config
    kind.from_config(config, prediction_type=prediction).save_pretrained(folder / "scheduler")
    model = loader.load(str(folder))
    latents, noise = torch.randn((2, 2, 4, 8, 8), generator=torch.Generator().manual_seed(0))
    times = torch.tensor([900, 100])
    expected = noised_by_hand(latents, noise, times)
    assert torch.allclose(model.scheduler.add_noise(latents, noise, times), expected, atol=1e-5)
    with torch.no_grad():
        predicted, target = whitebox.predict(model, latents, noise, times, model.embed(["a boat"] * 2))
        direct = model.unet(expected, times, encoder_hidden_states=model.embed(["a boat"] * 2)).sample
    assert torch.allclose(predicted, direct, atol=1e-4)
    ideal = DDPMScheduler.from_config(config).get_velocity(latents, noise, times) if prediction[0] == "v" else noise
    assert torch.allclose(target, ideal)


@pytest.mark.parametrize("kind", SAMPLERS, ids=lambda kind: kind.__name__)
def test_ddim_never_clips_latents(folder, kind):
    config = {**PNDMScheduler.from_pretrained(folder / "scheduler").config}
    config.pop("clip_sample", None)
    kind.from_config(config).save_pretrained(folder / "scheduler")
    scheduler = sampling.schedule(loader.load(str(folder)), Diffusing(steps=4, guidance=1.0, scheduler="ddim"))
    assert not scheduler.config.clip_sample
    assert scheduler.final_alpha_cumprod == scheduler.alphas_cumprod[0]


@pytest.mark.parametrize(
    ("shape", "alias", "expected"),
    [
        ("sd15", "sd21-base", "1024, got 768"),
        ("sd21-base", "sd15", "768, got 1024"),
        ("sd15", "sd15-inpaint", "9, got 4"),
        ("sd15-inpaint", "sd15", "4, got 9"),
    ],
)
def test_another_model_than_the_alias_says_is_refused(alias_folders, shape, alias, expected):
    alias_folders(shape, alias)
    with pytest.raises(UserError, match=expected):
        loader.load(alias)


def test_a_model_of_another_size_is_refused(alias_folders):
    config = alias_folders("sd21-base", "sd21-base") / "unet" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "sample_size": 96}))
    with pytest.raises(UserError, match="512, got 768"):
        loader.load("sd21-base")


def test_two_aliases_of_one_model_are_refused():
    registry.check_distinct({"sd15": "a", "sd21-base": "b"})
    with pytest.raises(UserError, match="'sd15' and 'sd21-base'"):
        registry.check_distinct({"sd15": "a", "mini-a": "c", "sd21-base": "a"})


def test_a_folder_has_the_size_that_its_denoiser_draws(sd_weights, weights):
    sizes = []
    for path in (sd_weights / "sd15", sd_weights / "sd21"):
        sizes.append(registry.find(str(path)).image_size)
    assert sizes == [512, 768]
    assert registry.find(str(weights / "mini-a")).image_size == 128


def test_images_are_trained_on_at_the_size_that_the_model_draws(model):
    picture = torch.linspace(0, 1, 64)[None, None, None].expand(1, 3, 64, 64)
    resized = at_own_size(model, picture)
    assert resized.shape == (1, 3, 128, 128)
    assert float((resized - torch.linspace(0, 1, 128)).abs().max()) < 0.02
    assert posterior(model, picture)[0].shape[-2:] == (16, 16)
    for untouched in (torch.zeros(1, 3, 128, 128), torch.zeros(1, 3, 64, 72)):
        assert at_own_size(model, untouched) is untouched


def halve(part):
    """Renames a part's weights to those of its half-precision variant."""
    for path in part.glob("*.safetensors"):
        path.rename(path.with_name(f"{path.stem}.fp16.safetensors"))


@pytest.mark.parametrize("parts", [("unet",), ("unet", "vae", "text_encoder")], ids=["unet", "all"])
def test_a_folder_with_half_precision_weights_alone_loads(folder, sd_weights, parts):
    for part in parts:
        halve(folder / part)
    assert hub.lacking(folder) == []
    model, whole = loader.load(str(folder)), loader.load(str(sd_weights / "sd15"))
    for name in ("unet", "vae", "text_encoder"):
        ours, theirs = getattr(model, name).state_dict(), getattr(whole, name).state_dict()
        for key, weight in ours.items():
            assert torch.equal(weight, theirs[key])
    for p, q in zip(model.in_single("unet").parameters(), whole.unet.parameters(), strict=True):
        assert torch.equal(p, q)


def test_the_digest_is_of_the_weights_that_load(folder):
    whole = registry.digest.__wrapped__(folder)
    shutil.copy(folder / "unet" / "diffusion_pytorch_model.safetensors", folder / "unet" / "x.fp16.safetensors")
    assert registry.digest.__wrapped__(folder) == whole
    halve(folder / "unet")
    (folder / "unet" / "x.fp16.fp16.safetensors").unlink()
    half = registry.digest.__wrapped__(folder)
    assert half != whole
    path = folder / "unet" / "diffusion_pytorch_model.fp16.safetensors"
    path.write_bytes(path.read_bytes() + b"\0")
    assert registry.digest.__wrapped__(folder) != half
    part = path.rename(folder / "unet" / "diffusion_pytorch_model.fp16-00001-of-00001.safetensors")
    (folder / "unet" / "diffusion_pytorch_model.safetensors.index.fp16.json").write_text("{}")
    in_parts = registry.digest.__wrapped__(folder)
    part.write_bytes(part.read_bytes() + b"\0")
    assert registry.digest.__wrapped__(folder) != in_parts
    (folder / "unet" / "diffusion_pytorch_model.safetensors.index.fp16.json").unlink()
    assert hub.lacking(folder) == ["unet/*.safetensors"]
