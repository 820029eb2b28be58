"""The stages of the base models and of the purifier for a few steps, and what becomes of their weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionXLPipeline, UNet2DModel
from roots import ROOT
from training import SHORT, a_run

from cloakbench.models.mini import architecture, tokenizer
from cloakbench.models.mini.architecture import MINI_A, MINI_XL, Base
from cloakbench.models.mini.train import decoder, denoiser, distil, export, gates, paint, purifier, stages
from cloakbench.models.mini.train.__main__ import parser
from cloakbench.models.mini.train.pool import Pool

SMALL = Base("mini-a", "v_prediction", (16, 16, 16), 16, 2)
SMALL_XL = Base("mini-xl", "epsilon", (16, 16, 16), 16, 2)


@pytest.mark.parametrize(("base", "kind"), [(SMALL, denoiser.Model), (SMALL_XL, denoiser.ModelXL)])
def test_a_base_model_trains_on_known_styles(base, kind, pool_folder, words, tmp_path):
    learned, run = tokenizer.load(words), a_run(tmp_path)
    model = kind(base, len(learned))
    before = [weight.clone() for weight in model.parameters()]
    denoiser.train_base(base, model, learned, Pool(pool_folder, "small", True), run, SHORT)
    changed = [not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True)]
    assert np.mean(changed) > 0.9
    assert stages.finite(model)


def test_captions_name_style_and_subject_and_a_tenth_is_empty():
    rng = np.random.default_rng(1)
    labels = np.array([[0], [3]]).repeat(500, 1)
    texts = denoiser.captions(labels, rng)
    assert 30 < texts.count("") < 75
    assert texts.count("a painting of a mountain in the style of engraving") > 200


def test_min_snr_weights_never_exceed_the_cap_and_vanish_with_the_signal():
    noise = denoiser.weights(architecture.scheduler(SMALL_XL), velocity=False)
    velocity = denoiser.weights(architecture.scheduler(SMALL), velocity=True)
    assert noise.max() <= 1
    assert noise[-1] == 1
    assert velocity[-1] < 0.01


def test_times_are_spread_over_the_whole_schedule():
    times = denoiser.spread_times(10, torch.Generator().manual_seed(1))
    assert (times // 100).tolist() == list(range(10))


def test_the_purifier_trains_on_cut_outs(pool, tmp_path):
    small = {"block_out_channels": (8, 8, 8, 8)}
    model = UNet2DModel.from_config({**architecture.purifier().config, **small})
    trained = purifier.train_purifier(model, architecture.purifier_scheduler(), pool, a_run(tmp_path), SHORT)
    assert stages.finite(trained)


def test_the_purifier_has_one_to_two_million_weights():
    assert 1e6 < sum(weight.numel() for weight in architecture.purifier().parameters()) < 2e6


def test_trained_stages_become_folders_that_diffusers_loads(tmp_path, words, monkeypatch):
    monkeypatch.setattr(export, "MINI_A", SMALL)
    monkeypatch.setattr(export, "MINI_XL", SMALL_XL)
    vocabulary = len(tokenizer.load(words))
    for suffix in ("", "-xl"):
        stages.write(tmp_path / f"encoder{suffix}.safetensors", distil.LatentEncoder(architecture.vae()), 1)
        stages.write(tmp_path / f"decoder{suffix}.safetensors", decoder.LatentDecoder(architecture.vae()), 1)
    stages.write(tmp_path / "mini-a.safetensors", denoiser.Model(SMALL, vocabulary), 1)
    stages.write(tmp_path / "mini-xl.safetensors", denoiser.ModelXL(SMALL_XL, vocabulary), 1)
    assert export.everything(tmp_path, words, tmp_path / "out") == ["mini-a", "mini-xl"]
    pairs = [(0, 1), (1, 2)]
    assert paint.generate(tmp_path / "out" / "mini-a", pairs, 1).shape == (2, 128, 128, 3)
    load = {"add_watermarker": False, "torch_dtype": torch.float32}
    xl = StableDiffusionXLPipeline.from_pretrained(tmp_path / "out" / "mini-xl", **load)
    xl.set_progress_bar_config(disable=True)
    image = xl("a boat", num_inference_steps=2, height=128, width=128, output_type="np").images[0]
    assert image.shape == (128, 128, 3)
    assert xl.vae.config.scaling_factor == architecture.SDXL_SCALE


def test_all_shipped_weights_fit_into_64_megabytes():
    vocabulary = 800
    models = [denoiser.Model(MINI_A, vocabulary), denoiser.Model(architecture.MINI_B, vocabulary)]
    models += [denoiser.ModelXL(MINI_XL, vocabulary), architecture.purifier(), *(architecture.vae() for _ in range(3))]
    new = 2 * sum(weight.numel() for model in models for weight in model.parameters())
    kept = []
    for name in ("mini-clip", "mini-vae-c"):
        kept.append(gates.stages.FOLDER.parents[1] / "weights" / name)
    old = sum(path.stat().st_size for folder in kept for path in folder.rglob("*.safetensors"))
    assert new + old < 63e6


def test_all_weights_in_the_repository_fit_into_64_megabytes():
    sizes = []
    for folder in ("benchmark", "submissions"):
        sizes += [path.stat().st_size for path in (ROOT / folder).rglob("*.safetensors")]
    assert 40e6 < sum(sizes) < 64e6


def test_every_stage_is_offered_and_the_device_is_cpu_unless_asked(capsys):
    options = parser().parse_args([])
    assert options.device == "cpu"
    assert options.names[:2] == ["encoder", "encoder-whole"]
    assert options.names[-1] == "export"
