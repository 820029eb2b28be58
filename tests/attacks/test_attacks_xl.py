"""Stable Diffusion XL: contexts, training and images against the stock classes and diffusers' training script."""

from __future__ import annotations

import json
import shutil

import formula
import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler, DPMSolverMultistepScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
from torch.nn import functional as F

from cloakbench import whitebox
from cloakbench.attacks.mimicry.dreambooth import DreamBooth
from cloakbench.attacks.mimicry.inversion import TextualInversion
from cloakbench.attacks.mimicry.lora import LoRA
from cloakbench.attacks.mimicry.personalised import Personalised
from cloakbench.attacks.mimicry.sampling import generate, image_to_image, starting_noise
from cloakbench.errors import UserError
from cloakbench.images import to_tensor
from cloakbench.models import loader
from cloakbench.models.mini import architecture, tokenizer
from cloakbench.models.mini.architecture import MINI_XL
from cloakbench.models.mini.train import export
from cloakbench.models.mini.train.denoiser import ModelXL
from cloakbench.models.xl import time_ids
from cloakbench.schemas.suite import Sampling

DATA = formula.data()
TEXTS = ["a painting of a boat in the style of sks", "sks", ""]
SEEDS = [3, 8]
SAMPLING = Sampling(prompts=["x"], per_prompt=1, steps=3, guidance=5.0)


@pytest.fixture(scope="module")
def folder(sd_weights, tmp_path_factory):
    """A pipeline of XL's form that draws 128 pixels."""
    folder = tmp_path_factory.mktemp("xl") / "xl"
    shutil.copytree(sd_weights / "sdxl", folder)
    path = folder / "unet" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "sample_size": 16}))
    return folder


@pytest.fixture(scope="module")
def xl(folder):
    return loader.load(str(folder))


@pytest.fixture
def stock(folder):
    pipe = StableDiffusionXLPipeline.from_pretrained(folder, local_files_only=True, add_watermarker=False)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def stock_inputs(pipe, texts):
    """States and pooled embeddings as the stock pipeline encodes each text."""
    states, _, pooled, _ = pipe.encode_prompt(list(texts), device="cpu", do_classifier_free_guidance=False)
    return states, pooled


def test_contexts_are_the_stock_pipelines_with_the_pooled_embedding_as_last_row(xl, stock):
    states, pooled = stock_inputs(stock, TEXTS)
    contexts = xl.embed(TEXTS)
    assert contexts.shape == (3, 78, 2048)
    assert torch.allclose(contexts[:, :-1], states, atol=1e-6)
    assert torch.allclose(contexts[:, -1, :1280], pooled, atol=1e-6)
    assert not contexts[:, -1, 1280:].any()


def test_the_second_encoder_gets_its_own_tokenizers_ids(xl, stock):
    ids = xl.text_encoder.second_ids(xl.tokens(TEXTS))
    expected = stock.tokenizer_2(TEXTS, padding="max_length", max_length=77, return_tensors="pt").input_ids
    assert torch.equal(ids, expected)
    assert not torch.equal(ids, xl.tokens(TEXTS))


def test_the_denoiser_is_the_stock_one_with_sizes_and_pooled_embedding(xl, stock):
    noisy = torch.randn((2, 4, 16, 24), generator=torch.Generator().manual_seed(0))
    states, pooled = stock_inputs(stock, TEXTS[:2])
    sizes = torch.tensor([[128, 192, 0, 0, 128, 192]]).repeat(2, 1)
    assert torch.equal(time_ids(noisy).long(), sizes)
    conditions = {"time_ids": sizes, "text_embeds": pooled}
    expected = stock.unet(noisy, 7, states, added_cond_kwargs=conditions).sample
    assert torch.allclose(xl.unet(noisy, 7, xl.embed(TEXTS[:2])).sample, expected, atol=1e-5)
    assert torch.allclose(xl.unet(noisy, 7, states, added_cond_kwargs=conditions).sample, expected, atol=1e-5)


def test_the_training_noise_is_that_of_the_models_betas(xl):
    assert isinstance(xl.scheduler, DDPMScheduler)
    assert torch.allclose(xl.scheduler.alphas_cumprod, formula.alphas(), rtol=1e-4)


def plain_step(pipe, unet, generator):
    """The loss of diffusers' train_dreambooth_lora_sdxl.py on what the seed draws: its lines, on stock classes."""
    rows = torch.randint(0, 3, (2,), generator=generator)
    times = torch.randint(0, 1000, (2,), generator=generator)
    sample, noise = torch.randn((2, 2, 4, 16, 16), generator=generator)
    with torch.no_grad():
        encoded = pipe.vae.encode(DATA.images * 2 - 1).latent_dist
        states, pooled = stock_inputs(pipe, [DATA.captions[row] for row in rows.tolist()])
    latents = (encoded.mean[rows] + encoded.std[rows] * sample) * pipe.vae.config.scaling_factor
    schedule = DDPMScheduler.from_config(pipe.scheduler.config)
    sizes = torch.tensor([[128, 128, 0, 0, 128, 128]]).repeat(2, 1)
    conditions = {"time_ids": sizes, "text_embeds": pooled}
    predicted = unet(schedule.add_noise(latents, noise, times), times, states, added_cond_kwargs=conditions).sample
    return F.mse_loss(predicted.float(), noise.float())


def test_a_step_of_lora_is_that_of_diffusers_script(xl, stock):
    attack = LoRA(rank=4, alpha=4.0, steps=2, batch=2, learning_rate=1e-2)
    with formula.watching() as seen:
        learned = attack.personalise(xl, DATA, 6)
    unet = stock.unet.requires_grad_(False)
    unet.add_adapter(attack.adapters)
    weights = [weight for weight in unet.parameters() if weight.requires_grad]
    assert len(weights) == len(seen.before[0])
    generator = torch.Generator().manual_seed(6)
    for step, (before, gradients) in enumerate(zip(seen.before, seen.gradients, strict=True)):
        for weight, value in zip(weights, before, strict=True):
            weight.data, weight.grad = value.clone(), None
        loss = plain_step(stock, unet, generator)
        loss.backward()
        assert learned.losses[step] == pytest.approx(loss.item(), rel=1e-5)
        formula.assert_equal_gradients(gradients, formula.limited([weight.grad for weight in weights]))


def test_a_step_of_dreambooth_is_that_of_diffusers_script(xl, stock):
    with formula.watching() as seen:
        learned = DreamBooth(steps=1, batch=2, learning_rate=1e-3).personalise(xl, DATA, 5)
    loss = plain_step(stock, stock.unet, torch.Generator().manual_seed(5))
    loss.backward()
    assert learned.losses == pytest.approx([loss.item()], rel=1e-5)
    formula.assert_equal_gradients(
        seen.gradients[0], formula.limited([weight.grad for weight in stock.unet.parameters()])
    )
    assert isinstance(learned.model.unet, UNet2DConditionModel)


def drawn_by(pipe, model, **options):
    pipe.scheduler = DPMSolverMultistepScheduler.from_config(pipe.scheduler.config)
    images = pipe(
        [TEXTS[0]] * len(SEEDS),
        latents=starting_noise(model, SEEDS),
        num_inference_steps=SAMPLING.steps,
        guidance_scale=SAMPLING.guidance,
        height=128,
        width=128,
        output_type="np",
        **options,
    ).images
    return np.rint(images * 255).astype(int)


def apart(ours, theirs):
    return int(np.abs(np.stack(ours).astype(int) - theirs).max())


def test_images_are_the_stock_pipelines(xl, stock):
    ours = generate(Personalised(xl), [TEXTS[0]] * 2, SEEDS, SAMPLING)
    assert apart(ours, drawn_by(stock, xl)) <= 1
    averse = Personalised(xl, negative="noise")
    averse_images = generate(averse, [TEXTS[0]] * 2, SEEDS, SAMPLING)
    assert apart(averse_images, drawn_by(stock, xl, negative_prompt=["noise"] * 2)) <= 1
    assert apart(averse_images, np.stack(ours).astype(int)) > 1


def test_without_a_negative_prompt_guidance_moves_away_from_zeros(xl):
    assert not xl.embed_negative().any()
    assert torch.equal(xl.embed_negative("noise"), xl.embed(["noise"]))


def test_a_stock_pipeline_with_our_adapters_draws_our_images(xl, stock, tmp_path):
    mimic = LoRA(rank=4, alpha=8.0, steps=2, batch=1, learning_rate=0.1).personalise(xl, DATA, 2)
    mimic.save(tmp_path / "lora.safetensors")
    ours = generate(mimic, [TEXTS[0]] * 2, SEEDS, SAMPLING)
    assert apart(ours, drawn_by(stock, xl)) > 1
    stock.load_lora_weights(tmp_path, weight_name="lora.safetensors")
    assert apart(ours, drawn_by(stock, xl)) <= 1


def test_an_edit_and_a_white_box_loss_take_the_same_contexts(xl):
    images = DATA.images[:1].clone().requires_grad_(True)
    latents = whitebox.latent_means(xl, images) * whitebox.scale(xl)
    loss = whitebox.diffusion_loss(xl, latents, xl.embed([""]), torch.Generator().manual_seed(0))
    loss.sum().backward()
    assert float(images.grad.abs().max()) > 0
    edited = image_to_image(xl, images.detach(), ["a boat"], [1], SAMPLING, 0.7)
    assert edited[0].shape == (128, 128, 3)
    assert not torch.equal(to_tensor(edited), images.detach())


@pytest.mark.parametrize(
    "attack",
    [
        DreamBooth(steps=1, batch=1, learning_rate=1e-3, train_text_encoder=True),
        TextualInversion(initial="painting", steps=1, batch=1, learning_rate=1e-3),
    ],
)
def test_what_trains_a_text_encoder_is_refused(xl, attack):
    with pytest.raises(UserError, match="one text encoder"):
        attack.personalise(xl, DATA, 0)


def test_a_folder_of_the_embedded_xl_form_learns_and_draws(tmp_path):
    """The embedded model of this form is trained later; its folder is what its training writes."""
    words = tmp_path / "words"
    tokenizer.write(words, ["painting", "style", "boat", "sks"])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        own = ModelXL(MINI_XL, len(tokenizer.load(words)))
        export.base_xl(MINI_XL, own, architecture.vae(architecture.SDXL_SCALE), words, tmp_path)
    model = loader.load(str(tmp_path / "mini-xl"))
    assert model.embed_negative().any()  # it learned the empty text, so that guidance moves away from that
    noisy, times = torch.randn((2, 4, 16, 16), generator=torch.Generator().manual_seed(0)), torch.tensor([5, 900])
    expected = own.float().eval()(noisy, times, model.tokens(TEXTS[:2]))
    assert torch.allclose(model.unet(noisy, times, model.embed(TEXTS[:2])).sample, expected, atol=1e-5)
    mimic = LoRA(rank=2, alpha=2.0, steps=1, batch=1, learning_rate=1e-3).personalise(model, DATA, 0)
    [image] = generate(mimic, ["a boat"], [1], SAMPLING)
    assert image.shape == (128, 128, 3)
