from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import tiny
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from PIL import Image
from safetensors.torch import save_file
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from cloakbench import AttackRequest
from cloakbench.errors import BenchmarkError, UserError
from cloakbench.images import quantise
from cloakbench.models import loader
from cloakbench.runs.attacks import external

package = pytest.importorskip("cloakbench_ip_adapter", reason="the package is not installed: make install")
WIDTH, TOKENS, PROJECTION, SIDE = 768, 4, 16, 64
PROMPTS = ("a boat by sks", "a fish by sks", "a tree by sks")


def drawn(generator: torch.Generator, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=generator) / shape[-1] ** 0.5


@pytest.fixture(scope="session")
def weights(sd_weights, tmp_path_factory):
    """A folder with narrow random weights in the layout of the authors' repository."""
    root = tmp_path_factory.mktemp("ip-adapter")
    folder = root / "ip-adapter" / "models"
    config = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        projection_dim=PROJECTION,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=32,
        patch_size=8,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        CLIPVisionModelWithProjection(config).save_pretrained(folder / "image_encoder")
    generator = torch.Generator().manual_seed(1)
    tensors = {
        "image_proj.proj.weight": 4 * drawn(generator, TOKENS * WIDTH, PROJECTION),
        "image_proj.proj.bias": torch.zeros(TOKENS * WIDTH),
        "image_proj.norm.weight": torch.ones(WIDTH),
        "image_proj.norm.bias": torch.zeros(WIDTH),
    }
    unet = loader.load(str(sd_weights / "sd15")).unet
    for name, module in unet.named_modules():
        if name.endswith("attn2"):
            size = module.to_k.out_features
            for kind in ("to_k_ip", "to_v_ip"):
                tensors[f"ip_adapter.{_key(unet, name)}.{kind}.weight"] = 4 * drawn(generator, size, WIDTH)
    save_file(tensors, folder / "ip-adapter_sd15.safetensors")
    return root


def _key(unet: Any, name: str) -> int:
    """The number of an attention in the file: they are counted in the order of the denoiser's processors."""
    return 2 * [n for n in unet.attn_processors if ".attn2." in n].index(f"{name}.processor") + 1


@pytest.fixture
def model(weights, sd_weights, monkeypatch):
    monkeypatch.setenv("CLOAKBENCH_MODELS", str(weights))
    surrogate = loader.load(str(sd_weights / "sd15")).surrogate()
    unet = copy.deepcopy(surrogate.unet)
    unet.register_to_config(sample_size=SIDE // 8)  # draws smaller images, in less time
    return replace(surrogate, unet=unet)


def request_of(model, seed=0, prompts=PROMPTS):
    captions = ("a painting of a boat by sks", "a painting of a house by sks")
    return AttackRequest(model, torch.Generator().manual_seed(seed), "painting", captions, "sks", prompts)


def pictures(seed=5):
    return torch.rand((2, 3, 64, 64), generator=torch.Generator().manual_seed(seed))


def test_draws_what_the_stock_pipeline_with_the_stock_call_draws(model, weights, sd_weights):
    images = pictures()
    ours = package.IPAdapter(weights="ip-adapter", steps=2).imitate(images[:1], request_of(model, prompts=PROMPTS[:2]))
    stock = StableDiffusionPipeline.from_pretrained(sd_weights / "sd15", safety_checker=None, feature_extractor=None)
    stock.scheduler = DDIMScheduler.from_config(stock.scheduler.config, clip_sample=False, set_alpha_to_one=False)
    stock.load_ip_adapter(str(weights / "ip-adapter"), subfolder="models", weight_name="ip-adapter_sd15.safetensors")
    stock.set_ip_adapter_scale({"up": {"block_1": 1.0}})
    expected = stock(
        list(PROMPTS[:2]),
        ip_adapter_image=Image.fromarray(quantise(images)[0]),
        height=SIDE,
        width=SIDE,
        num_inference_steps=2,
        guidance_scale=5.0,
        generator=torch.Generator().manual_seed(0),
        output_type="pt",
    ).images
    assert ours.shape == expected.shape
    assert float((ours - expected).abs().max()) <= 1 / 255


def test_each_prompt_gets_an_image_that_follows_the_reference_and_the_seed(model):
    attack = package.IPAdapter(weights="ip-adapter", steps=2)
    first, again = (attack.imitate(pictures(), request_of(model)) for _ in range(2))
    other_seed, other_style = (
        attack.imitate(pictures(), request_of(model, 1)),
        attack.imitate(pictures(6), request_of(model)),
    )
    assert first.shape == (3, 3, SIDE, SIDE)
    assert 0 <= float(first.min()) <= float(first.max()) <= 1
    assert torch.equal(first, again)
    assert not torch.equal(first, other_seed)
    assert float((first - other_style).abs().max()) > 2 / 255


def test_the_models_denoiser_stays_as_it_is(model):
    before = {name: type(processor) for name, processor in model.unet.attn_processors.items()}
    package.IPAdapter(weights="ip-adapter", steps=1).imitate(pictures(), request_of(model))
    assert {name: type(processor) for name, processor in model.unet.attn_processors.items()} == before
    assert model.unet.encoder_hid_proj is None


def test_missing_weights_are_named_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("CLOAKBENCH_MODELS", str(tmp_path))
    encoder = tmp_path / "mine" / "models" / "image_encoder"
    encoder.mkdir(parents=True)
    (encoder / "config.json").write_text("{}")
    with pytest.raises(UserError) as caught:
        package.IPAdapter(weights="mine")
    lacks = "models/ip-adapter_sd15.safetensors, models/image_encoder/model.safetensors"
    assert caught.value.message == f"expected IP-Adapter's weights in $CLOAKBENCH_MODELS/mine, which lacks {lacks}"
    assert "h94/IP-Adapter" in caught.value.hint
    with pytest.raises(UserError, match="nothing-there, which lacks models/ip-adapter_sd15"):
        package.IPAdapter(weights="nothing-there")


def test_another_model_is_refused(model, sd_weights):
    attack = package.IPAdapter(weights="ip-adapter")
    other = loader.load(str(sd_weights / "sd21-base")).surrogate()
    with pytest.raises(UserError, match=r"expected a model of Stable Diffusion 1.x .* with contexts of 1024"):
        attack.imitate(pictures(), request_of(other))


def test_a_run_asks_it_for_its_weights_before_it_starts(weights, monkeypatch, tmp_path):
    monkeypatch.setenv("CLOAKBENCH_MODELS", str(weights))
    [attack] = external(["ip-adapter[weights=ip-adapter]"], tiny.suite(), tmp_path)
    assert (attack.has_own_mimicry, attack.package.title) == (True, "IP-Adapter, style blocks")
    with pytest.raises(BenchmarkError, match=r"CLOAKBENCH_MODELS/other, which lacks models/ip-adapter_sd15"):
        external(["ip-adapter[weights=other]"], tiny.suite(), tmp_path)
