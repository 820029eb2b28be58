"""Countermeasures that run a model: impress, diffpure, vae-trans, noisy-upscale."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import stand_in
import tiny
import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    DDIMScheduler,
    DDPMScheduler,
    StableDiffusionUpscalePipeline,
    UNet2DConditionModel,
)
from PIL import Image

from benchmark import images, submissions
from benchmark.attacks import catalogue
from benchmark.attacks.context import Context
from benchmark.attacks.countermeasures.framing import in_frames
from benchmark.attacks.countermeasures.impress import Impress
from benchmark.datasets.artists import mini_artist
from benchmark.errors import UserError
from benchmark.images import to_tensor
from benchmark.models import autoencoders, loader, registry
from benchmark.models.mini import architecture, tokenizer
from benchmark.submissions import guard
from benchmark.suites import load as suites

ASSETS = Path(os.environ.get("CLOAKBENCH_ASSETS", "../shared/assets"))
CPU = torch.device("cpu")
PICTURES = [tiny.picture(0), tiny.picture(1), tiny.picture(2)]
SEEDS = (11, 12, 13)
IMPRESS = {"model": "mini-a", "steps": 4}
DIFFPURE = {"model": "mini-a", "strength": 0.5, "steps": 4, "prompt": "a painting"}
BY_MODEL = {"sigma": 0.1, "model": "mini-a", "strength": 0.5, "steps": 4, "guidance": 2.0}
BY_UPSCALER = {"sigma": 0.1, "upscaler": "", "steps": 2, "guidance": 2.0}
NAMES = ["impress", "diffpure", "vae-trans", "noisy-upscale", "upscaler"]
SEEDED = [name for name in NAMES if name != "vae-trans"]


def around(seeds=SEEDS, load=loader.load):
    captions = tuple(f"a painting of {n} boats" for n in seeds)
    return Context(seeds, captions, load, loader.mini_lpips())


def build(name, **parameters):
    return catalogue.find("countermeasure", name).build(parameters)


@pytest.fixture(scope="session")
def upscaler(tmp_path_factory):
    """A folder with an untrained x4 upscaler of the classes of Stable Diffusion's."""
    root = tmp_path_factory.mktemp("upscaler")
    tokenizer.write(root / "words", ["painting", "boats"])
    learned = tokenizer.load(root / "words")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        StableDiffusionUpscalePipeline(
            vae=AutoencoderKL(
                block_out_channels=(8, 8, 8),
                down_block_types=("DownEncoderBlock2D",) * 3,
                up_block_types=("UpDecoderBlock2D",) * 3,
                norm_num_groups=8,
            ),
            text_encoder=architecture.text_encoder(stand_in.BASES[0], len(learned)),
            tokenizer=learned,
            unet=UNet2DConditionModel(
                in_channels=7,
                out_channels=4,
                block_out_channels=(8, 8),
                down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
                up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
                layers_per_block=1,
                norm_num_groups=8,
                attention_head_dim=4,
                cross_attention_dim=stand_in.SMALL,
                num_class_embeds=1000,
            ),
            low_res_scheduler=DDPMScheduler(),
            scheduler=DDIMScheduler(prediction_type="v_prediction"),
        ).save_pretrained(root / "pipeline", safe_serialization=True)
    for name in ("vocab.json", "merges.txt"):
        (root / "pipeline" / "tokenizer" / name).write_bytes((root / "words" / name).read_bytes())
    return root / "pipeline"


@pytest.fixture
def stage(stand_ins, upscaler):
    """Builds one of NAMES on stand-ins."""
    known = {
        "impress": lambda: build("impress", **IMPRESS),
        "diffpure": lambda: build("diffpure", **DIFFPURE),
        "vae-trans": lambda: build("vae-trans", vae="mini-vae-c"),
        "noisy-upscale": lambda: build("noisy-upscale", **BY_MODEL),
        "upscaler": lambda: build("noisy-upscale", **{**BY_UPSCALER, "upscaler": str(upscaler)}),
    }
    return lambda name: known[name]()


def apart(a, b):
    """The largest difference of two 8-bit images, in levels."""
    return int(np.abs(a.astype(int) - b.astype(int)).max())


@pytest.mark.parametrize("name", NAMES)
def test_an_image_does_not_depend_on_its_company(stage, name):
    small = [picture[:48, :40] for picture in PICTURES]
    together = stage(name).apply(small, around())
    for n, picture in enumerate(small):
        [alone] = stage(name).apply([picture], around(SEEDS[n : n + 1]))
        assert apart(alone, together[n]) <= 1
        assert apart(alone, picture) > 1


@pytest.mark.parametrize("name", SEEDED)
def test_a_seed_gives_the_same_bytes_and_another_seed_others(stage, name):
    state = torch.get_rng_state()
    first, again, other = (stage(name).apply([PICTURES[0][:48, :40]], around((n,)))[0] for n in (5, 5, 6))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", NAMES)
def test_sizes_stay(stage, name):
    pictures = [tiny.picture(0, 61, 83), tiny.picture(1, 32, 40)]
    found = stage(name).apply(pictures, around(SEEDS[:2]))
    assert [pixels.shape for pixels in found] == [picture.shape for picture in pictures]
    assert all(pixels.dtype == np.uint8 for pixels in found)


def test_framing_brings_every_image_back_to_its_place(monkeypatch):
    sizes = [(8, 8), (5, 13), (8, 8), (1, 1), (3, 16), (8, 8)]
    pictures = [np.full((*size, 3), n, np.uint8) for n, size in enumerate(sizes)]
    seen = []

    def clean(batch, rows):
        seen.append((tuple(batch.shape), rows))
        return [pixels + 100 for pixels in images.quantise(batch)]

    monkeypatch.setattr("benchmark.attacks.countermeasures.framing.AT_ONCE", 128)
    found = in_frames(pictures, 8, clean)
    assert all(np.array_equal(a, b + 100) for a, b in zip(found, pictures, strict=True))
    assert seen == [((2, 3, 8, 8), [0, 2]), ((2, 3, 8, 8), [3, 5]), ((1, 3, 8, 16), [1]), ((1, 3, 8, 16), [4])]


def by_hand(x, protected, alpha, budget):
    """The loss written out with diffusers' own autoencoder, one value an image."""
    vae = loader.load("mini-a").vae
    rebuilt = vae.decode(vae.encode(x).latent_dist.mode()).sample
    seen = loader.mini_lpips()((x + 1) / 2, protected)
    return ((rebuilt - x) ** 2).flatten(1).mean(1) + alpha * torch.relu(seen - budget)


def test_impress_takes_steps_of_adam_on_its_loss(stand_ins):
    protected = to_tensor([picture[:64, :64] for picture in PICTURES[:2]])
    settings = {"alpha": 0.5, "budget": 0.001, "noise": 0.2}
    vae = autoencoders.load("mini-a", CPU, torch.float32)
    found, losses = Impress("mini-a", 3, 0.01, **settings).purify(protected, [1, 2], vae, loader.mini_lpips())
    drawn = [torch.randn((3, 64, 64), generator=torch.Generator().manual_seed(n)) for n in (1, 2)]
    x = (protected * 2 - 1 + 0.2 * torch.stack(drawn)).clamp(-1, 1).requires_grad_(True)
    adam = torch.optim.Adam([x], 0.01, eps=1e-5)
    for step in range(3):
        each = by_hand(x, protected, 0.5, 0.001)
        assert torch.allclose(losses[step], each, rtol=1e-4)
        adam.zero_grad()
        each.sum().backward()
        adam.step()
        x.data.clamp_(-1, 1)
    assert torch.allclose(found, x.detach() / 2 + 0.5, atol=1e-4)
    assert bool((each > 0).all())


def test_impress_lowers_its_loss_and_stays_in_range(stand_ins):
    extremes = (to_tensor([picture[:64, :64] for picture in PICTURES[:2]]) > 0.5).float()
    vae = autoencoders.load("mini-a", CPU, torch.float32)
    found, losses = Impress("mini-a", 12, 0.05).purify(extremes, [1, 2], vae, loader.mini_lpips())
    assert bool((losses[-1] < 0.8 * losses[0]).all())
    assert 0 <= float(found.min()) <= float(found.max()) <= 1


def test_the_cosine_schedule_is_that_of_the_authors_code():
    steps, rate = 7, 0.01
    adam = torch.optim.Adam([torch.zeros(1)], rate)
    annealing = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps, 1e-5)
    expected = []
    for _ in range(steps):
        expected.append(adam.param_groups[0]["lr"])
        adam.step()
        annealing.step()
    cosine, constant = (Impress("mini-a", steps, rate, schedule=name) for name in ("cosine", "constant"))
    assert [cosine._rate(n) for n in range(steps)] == pytest.approx(expected)
    assert [constant._rate(n) for n in range(steps)] == [rate] * steps


def test_the_schedule_and_the_posterior_change_the_result(stand_ins):
    made = [
        build("impress", **{**IMPRESS, "learning_rate": 0.05, **change}).apply([PICTURES[0][:64, :64]], around((1,)))[0]
        for change in ({}, {"schedule": "cosine"}, {"posterior": "sample"})
    ]
    assert not np.array_equal(made[0], made[1])
    assert not np.array_equal(made[0], made[2])


def test_impress_in_half_precision_keeps_the_image_in_single(stand_ins):
    """A step of 1e-4 is far below what bfloat16 resolves near 0.5."""
    protected = to_tensor([PICTURES[0][:64, :64]])
    vae = autoencoders.load("mini-a", CPU, torch.bfloat16)
    assert next(vae.module.parameters()).dtype is torch.bfloat16
    found, losses = Impress("mini-a", 1, 1e-4, noise=0).purify(protected, [1], vae, loader.mini_lpips())
    moved = (found - protected).abs()
    assert losses.dtype is found.dtype is torch.float32
    assert 0 < float(moved.max()) <= 0.51e-4
    full = autoencoders.load("mini-a", CPU, torch.float32)
    _, exact = Impress("mini-a", 1, 1e-4, noise=0).purify(protected, [1], full, loader.mini_lpips())
    assert float(losses) == pytest.approx(float(exact), rel=0.02)


def test_impress_moves_the_latent_back_to_that_of_the_clean_image():
    """On the trained model: what PhotoGuard did to the latent is smaller after purification."""
    folder = registry.WEIGHTS / "mini-a"
    if not (folder / "model_index.json").exists():
        pytest.skip("the trained weights of mini-a are not in the package yet")
    model, suite = loader.load(str(folder)), suites.load("mini")
    artist = mini_artist("stencil", suite)  # a development style
    clean = artist.images[:1]
    call = guard.Call(1.0, 16, model.surrogate(), 0, "painting", artist.captions[:1])
    protected = guard.run(submissions.load("photoguard[steps=10]").instance, clean, call).images
    vae, distance = autoencoders.load(str(folder), CPU, torch.float32), loader.mini_lpips()
    found, losses = Impress(str(folder), 15, 0.03, noise=0.0).purify(to_tensor(protected), [1], vae, distance)
    with torch.no_grad():
        was, is_now = (
            (vae.encode(x * 2 - 1) - vae.encode(to_tensor(clean) * 2 - 1)).flatten(1).norm(dim=1)
            for x in (to_tensor(protected), found)
        )
    assert bool((losses[-1] < 0.5 * losses[0]).all())
    assert bool((is_now < was).all())


def test_vae_trans_is_one_pass_through_the_autoencoder(stand_ins):
    [found] = build("vae-trans", vae="mini-vae-c").apply(PICTURES[:1], around((1,)))
    vae = AutoencoderTiny.from_pretrained(stand_ins / "mini-vae-c").eval()
    with torch.no_grad():
        expected = vae.decode(vae.encode(to_tensor(PICTURES[:1]) * 2 - 1).latents).sample
    assert apart(found, images.quantise(expected / 2 + 0.5)[0]) <= 1


def test_the_upscaler_gets_noise_caption_and_seed(stand_ins, upscaler):
    picture, context = PICTURES[0][:32, :48], around((7,))
    parameters = {**BY_UPSCALER, "upscaler": str(upscaler), "noise_level": 33}
    [found] = build("noisy-upscale", **parameters).apply([picture], context)
    [noisy] = build("noise", sigma=0.1).apply([picture], context)
    pipe = StableDiffusionUpscalePipeline.from_pretrained(upscaler)
    pipe.set_progress_bar_config(disable=True)
    made = pipe(
        list(context.captions),
        to_tensor([noisy]),
        num_inference_steps=2,
        guidance_scale=2.0,
        noise_level=33,
        generator=torch.Generator().manual_seed(7),
        output_type="np",
    ).images[0]
    assert made.shape == (128, 192, 3)
    small = Image.fromarray(np.rint(made * 255).astype(np.uint8)).resize((48, 32), Image.Resampling.LANCZOS)
    assert apart(found, np.asarray(small)) <= 1


def test_captions_reach_the_model(stage):
    pictures = [PICTURES[0][:40, :40]]
    one, other = (Context((1,), (text,), loader.load, loader.mini_lpips()) for text in ("a boat", "a style"))
    for name, same in (("noisy-upscale", False), ("upscaler", False), ("diffpure", True)):
        first, second = (stage(name).apply(pictures, context)[0] for context in (one, other))
        assert np.array_equal(first, second) == same


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("impress", {**IMPRESS, "steps": 0}, "steps must be at least 1"),
        ("impress", {**IMPRESS, "learning_rate": 0}, "learning_rate above 0"),
        ("impress", {**IMPRESS, "budget": -0.1}, "budget and noise must not be negative"),
        ("impress", {**IMPRESS, "schedule": "linear"}, "schedule must be constant or cosine"),
        ("impress", {**IMPRESS, "posterior": "mean"}, "posterior mode or sample"),
        ("impress", {"steps": 3}, "missing 1 required"),
        ("impress", {**IMPRESS, "model": ""}, "model must name a model"),
        ("diffpure", {**DIFFPURE, "strength": 1.1}, "strength must lie in"),
        ("diffpure", {**DIFFPURE, "strength": 0.1}, "at least one of the steps"),
        ("diffpure", {**DIFFPURE, "steps": 0}, "strength must lie in"),
        ("diffpure", {**DIFFPURE, "scheduler": "euler"}, "scheduler"),
        ("diffpure", {**DIFFPURE, "model": ""}, "model must name a model"),
        ("vae-trans", {"vae": ""}, "vae must name a model"),
        ("noisy-upscale", {**BY_MODEL, "sigma": 0}, "sigma must be above 0"),
        ("noisy-upscale", {**BY_MODEL, "upscaler": "x"}, "one of model and upscaler"),
        ("noisy-upscale", BY_UPSCALER, "one of model and upscaler"),
        ("noisy-upscale", {**BY_MODEL, "strength": 0.0}, "strength must lie in"),
        ("noisy-upscale", {**BY_MODEL, "guidance": 0.5}, "guidance"),
        ("noisy-upscale", {**BY_UPSCALER, "upscaler": "x", "noise_level": -1}, "noise_level must be at least 0"),
    ],
)
def test_parameters_out_of_range_are_the_suites_fault(name, parameters, message):
    with pytest.raises(UserError, match=f"countermeasure '{name}' does not take [^$]*{message}"):
        build(name, **parameters)


def test_an_autoencoder_comes_from_a_pipeline_or_a_bare_folder(stand_ins):
    inside, bare = (autoencoders.load(name, CPU, torch.float32) for name in ("mini-a", str(stand_ins / "mini-vae-c")))
    assert autoencoders.load("mini-a", CPU, torch.float32) is inside
    assert (inside.divisor, bare.divisor) == (8, 4)
    pictures = to_tensor(PICTURES) * 2 - 1
    mean, deviation = inside.posterior(pictures)
    encoded = loader.load("mini-a").vae.encode(pictures).latent_dist
    assert torch.allclose(mean, encoded.mean, atol=1e-5)
    assert torch.allclose(deviation, encoded.std, atol=1e-5)
    mean, deviation = bare.posterior(pictures)
    assert mean.shape == (3, 3, 32, 32)
    assert not deviation.any()
    assert not any(p.requires_grad for found in (inside, bare) for p in found.module.parameters())


def test_the_shipped_autoencoder_is_small_and_knows_the_art(monkeypatch):
    monkeypatch.delenv("CLOAKBENCH_MODELS", raising=False)
    folder = registry.WEIGHTS / "mini-vae-c"
    if not (folder / "config.json").exists():
        pytest.skip("the trained weights of mini-vae-c are not in the package yet")
    assert sum(file.stat().st_size for file in folder.iterdir()) <= 3_000_000
    artist = mini_artist("stencil", suites.load("mini"))
    found = build("vae-trans", vae="mini-vae-c").apply(artist.images, around(range(len(artist.images))))
    error = (to_tensor(found) - to_tensor(artist.images)).square().mean()
    assert float(-10 * error.log10()) > 20  # dB; the model's own gates are measured where it is trained


@pytest.mark.parametrize("config", ['{"_class_name": "AutoencoderTiny"}', '{"_class_name": "UNet2DModel"}', "{"])
def test_a_folder_that_is_no_autoencoder_is_told(tmp_path, config):
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(UserError, match="expected an AutoencoderKL or AutoencoderTiny in"):
        build("vae-trans", vae=str(tmp_path)).apply(PICTURES[:1], around((1,)))


def test_a_pipeline_that_is_no_upscaler_is_told(stand_ins):
    with pytest.raises(UserError, match="expected a StableDiffusionUpscalePipeline in"):
        build("noisy-upscale", **{**BY_UPSCALER, "upscaler": "mini-a"}).apply(PICTURES[:1], around((1,)))


TAESD = str(ASSETS / "taesd" / "taesd")
LARGE = {
    "jpeg": {"quality": 75},
    "blur": {"kernel": 5, "sigma": 1.0},
    "noise": {"sigma": 0.05},
    "resize": {"scale": 0.5},
    "impress": {"model": TAESD, "steps": 1, "learning_rate": 0.02},
    "vae-trans": {"vae": TAESD},
    "diffpure": {**DIFFPURE, "strength": 0.25},
    "noisy-upscale": {**BY_MODEL, "strength": 0.25},
}


@pytest.fixture
def painting(stand_ins):
    if not (ASSETS / "images" / "van_gogh").is_dir() or not Path(TAESD).is_dir():
        pytest.skip("the paintings and TAESD are not here: set CLOAKBENCH_ASSETS")
    return next(iter(images.read_folder(ASSETS / "images" / "van_gogh").values()))


@pytest.mark.parametrize("name", list(LARGE))
def test_a_painting_of_512_pixels_goes_through(painting, name):
    [cleaned] = build(name, **LARGE[name]).apply([painting], around(SEEDS[:1]))
    assert cleaned.shape == painting.shape == (512, 512, 3)
    assert apart(cleaned, painting) > 2
    if name not in {"diffpure", "noisy-upscale"}:  # their model is untrained here
        error = np.mean((cleaned.astype(float) - painting) ** 2)
        assert 10 * np.log10(255**2 / error) > 16  # dB; TAESD itself rebuilds this much texture no better


def test_impress_lowers_its_loss_on_a_painting(painting):
    vae = autoencoders.load(TAESD, CPU, torch.float32)
    _, losses = Impress(TAESD, 4, 0.02).purify(to_tensor([painting[:64, :64]]), [1], vae, loader.mini_lpips())
    assert bool((losses.diff(dim=0) < 0).all())
