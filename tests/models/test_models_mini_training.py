"""The training of the embedded models: its pieces, and every stage for a few steps."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny, StableDiffusionXLPipeline, UNet2DModel
from torch import nn

from cloakbench.datasets.procedural import scenes, styles
from cloakbench.models.mini import architecture, tokenizer
from cloakbench.models.mini.architecture import MINI_A, MINI_XL, Base
from cloakbench.models.mini.train import (
    assemble,
    cutouts,
    decoder,
    denoiser,
    distil,
    export,
    gates,
    paint,
    purifier,
    stages,
    teacher,
)
from cloakbench.models.mini.train.__main__ import parser
from cloakbench.models.mini.train.loop import Recipe, generator, learning_rate, train
from cloakbench.models.mini.train.muon import orthogonalise
from cloakbench.models.mini.train.pool import Pool, Worker, draw, encode, is_wide, to_pixels
from cloakbench.models.mini.train.run import Casting, Run

SHORT = Recipe(steps=3, batch=6, lr=1e-3, muon_lr=4e-3, seed=1, warmup=1)
TAESD = Path(os.environ.get(teacher.ASSETS, "../shared/assets")) / "taesd" / "taesd"


def small_teacher() -> AutoencoderTiny:
    """An untrained teacher with four channels of 8 times smaller latents."""
    torch.manual_seed(3)
    widths = (8, 8, 8, 8)
    tiny_autoencoder = AutoencoderTiny(encoder_block_out_channels=widths, decoder_block_out_channels=widths)
    return tiny_autoencoder.eval().requires_grad_(False)


def small_vae(**other: object) -> AutoencoderKL:
    torch.manual_seed(4)
    return AutoencoderKL.from_config({**architecture.vae().config, "block_out_channels": (8, 8, 8, 8), **other})


@pytest.fixture(scope="module")
def pool_folder(tmp_path_factory) -> Path:
    """Six chunks of eight pictures with the small teacher's latents."""
    folder = tmp_path_factory.mktemp("work") / "pool"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(teacher, "load", lambda name, device="cpu": small_teacher())
        Worker(folder, "small").fill(6, 5.0, count=8)
    return folder


@pytest.fixture
def pool(pool_folder) -> Pool:
    return Pool(pool_folder, "small", known_only=False)


def a_run(folder: Path, stage: str = "part", **other: object) -> Run:
    return Run(stage, folder, folder / "stages" / f"{stage}.safetensors", **other)


def log(run: Run) -> list[dict[str, object]]:
    return [json.loads(line) for line in run.weights.with_suffix(".jsonl").read_text().splitlines()]


@pytest.mark.parametrize("shape", [(16, 200), (200, 16), (32, 96)])
def test_an_orthogonalised_matrix_has_singular_values_near_one(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    values = torch.linalg.svdvals(orthogonalise(matrix))
    assert values.min() > 0.6
    assert values.max() < 1.25


def test_the_rate_warms_up_after_each_beginning_and_falls_to_zero():
    recipe = Recipe(steps=100, batch=1, lr=1, muon_lr=1, seed=0, warmup=10, decay_share=0.5)
    assert [learning_rate(recipe, step) for step in (0, 9, 50)] == [0.1, 1.0, 1.0]
    assert learning_rate(recipe, 75) == pytest.approx(0.5)
    assert learning_rate(recipe, 40, began=40) == pytest.approx(0.1)


def a_loss(module: nn.Module):
    def loss(step: int) -> torch.Tensor:
        x = torch.randn(8, 4, generator=generator(SHORT, step))
        return (module(x) - x.flip(1)).square().mean()

    return loss


def linear() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(4, 4)


def test_a_stopped_training_goes_on_as_if_it_had_not_stopped(tmp_path):
    whole, halted = linear(), linear()
    recipe = Recipe(steps=8, batch=1, lr=1e-2, muon_lr=1e-2, seed=1, warmup=2)
    expected = train(whole, recipe, a_loss(whole), a_run(tmp_path / "whole"))
    stopped = a_run(tmp_path / "halted")

    def until_the_fourth(step: int) -> torch.Tensor:
        if step == 4:
            signal.raise_signal(signal.SIGTERM)
        return a_loss(halted)(step)

    before = signal.getsignal(signal.SIGTERM)
    train(halted, recipe, until_the_fourth, stopped)
    assert signal.getsignal(signal.SIGTERM) is before
    assert torch.load(stopped.checkpoint, weights_only=True)["step"] == 5
    again = linear()
    resumed = train(again, recipe, a_loss(again), a_run(tmp_path / "halted"))
    assert torch.equal(resumed.weight, expected.weight)


def test_without_a_checkpoint_a_training_goes_on_from_the_committed_half_precision_weights(tmp_path):
    first = a_run(tmp_path)
    module = linear()
    train(module, SHORT, a_loss(module), first)
    assert stages.steps(first.weights) == 3
    first.checkpoint.unlink()
    longer = Recipe(steps=5, batch=1, lr=0.0, muon_lr=0.0, seed=1)
    module = nn.Linear(4, 4)
    average = train(module, longer, a_loss(module), a_run(tmp_path))
    kept = linear()
    assert stages.read(first.weights, kept) == 5
    assert torch.allclose(average.weight, kept.weight, atol=1e-3)
    assert torch.load(first.checkpoint, weights_only=True)["began"] == 3


def test_a_stage_with_an_origin_begins_with_its_weights_at_step_zero(tmp_path):
    module = linear()
    origin = tmp_path / "earlier.safetensors"
    stages.write(origin, module, 700)
    other = nn.Linear(4, 4)
    run = a_run(tmp_path, origin=origin)
    train(other, Recipe(steps=1, batch=1, lr=0.0, muon_lr=0.0, seed=1), a_loss(other), run)
    assert stages.steps(run.weights) == 1
    assert torch.allclose(other.weight, module.weight, atol=1e-3)


def test_time_that_is_up_stops_a_training_and_leaves_its_weights(tmp_path):
    module = linear()
    run = a_run(tmp_path, minutes=0.0)
    train(module, SHORT, a_loss(module), run)
    assert stages.steps(run.weights) == 0
    assert run.weights.exists()


def test_the_log_says_which_precision_was_quicker(tmp_path):
    module = linear()
    run = a_run(tmp_path)
    train(module, SHORT, a_loss(module), run)
    facts = log(run)[0]
    assert facts["bfloat16"] == (facts["seconds_per_step"]["bfloat16"] < facts["seconds_per_step"]["float32"])


@pytest.mark.parametrize("slow", [False, True])
def test_the_quicker_precision_is_taken(slow, monkeypatch):
    casting, clock = Casting(), [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])

    def trial():
        clock[0] += 2.0 if casting.reduced == slow else 1.0

    casting.measure(trial)
    assert casting.reduced is not slow


def test_a_chunk_is_drawn_again_alike_and_only_the_fourth_knows_all_styles():
    images, labels = draw(0, 6)
    again, _ = draw(0, 6)
    assert np.array_equal(images, again)
    assert {styles.STYLES[n].group for n in labels[0]} == {"training"}
    assert [is_wide(n) for n in range(5)] == [False, False, False, True, False]
    groups = {styles.STYLES[n].group for n in draw(3, 24)[1][0]}
    assert groups == {"training", "development", "artists"}


def test_a_close_subject_fills_more_of_the_picture():
    def filled(framing: scenes.Framing) -> float:
        shown = [scenes.compose("vase", np.random.default_rng(n), framing).slots for n in range(12)]
        return float(np.mean([np.isin(slots, [scenes.MAIN]).mean() for slots in shown]))

    assert filled(scenes.CLOSE) > 1.1 * filled(scenes.WIDE)


def test_a_pool_reads_what_has_come_and_keeps_held_out_styles_from_base_models(pool_folder):
    everything, known = Pool(pool_folder, "small", False), Pool(pool_folder, "small", True)
    everything.follow(0)
    known.follow(0)
    assert everything.latents.shape == (48, 4, 16, 16)
    assert known.labels.shape == (2, 40)
    assert np.array_equal(everything.picture(9), draw(1, 8)[0][1])


def test_the_teacher_is_shown_pictures_in_its_own_range():
    class Recorder(nn.Module):
        seen = None

        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))

        def encode(self, x):
            self.seen = x
            return type("Output", (), {"latents": x[:, :, ::8, ::8]})

    recorder = Recorder()
    ramp = np.linspace(0, 255, 128 * 128).astype(np.uint8).reshape(1, 128, 128, 1).repeat(3, -1)
    encode(recorder, ramp)
    assert (recorder.seen.min(), recorder.seen.max()) == (-1, 1)
    distil.teacher_encoder(recorder, Casting())(to_pixels(ramp))
    assert (recorder.seen.min(), recorder.seen.max()) == (-1, 1)


@pytest.mark.skipif(not TAESD.is_dir(), reason="TAESD is not among the assets")
def test_the_real_teachers_latents_decode_to_the_picture():
    model = teacher.load("taesd")
    picture = styles.paint("gouache", "house", [1])[None]
    with torch.no_grad():
        again = model.decode(torch.from_numpy(encode(model, picture)).float()).sample / 2 + 0.5
    assert float(-10 * (again - to_pixels(picture)).square().mean().log10()) > 22


def test_cut_outs_are_pictures_of_the_wanted_side(pool):
    pool.follow(0)
    x = cutouts.draw(pool, np.random.default_rng(1), 10, 64)
    assert x.shape == (10, 3, 64, 64)
    assert x.min() >= 0
    assert x.max() <= 1
    assert x.flatten(1).std(1).min() > 0


def test_an_encoder_comes_nearer_to_its_teacher(pool, tmp_path):
    run, vae, model = a_run(tmp_path), small_vae(), small_teacher()
    pool.follow(0)
    x = to_pixels(np.stack([pool.picture(n) for n in range(6)]))
    before = (distil.LatentEncoder(vae)(x) - model.encode(x * 2 - 1).latents).square().mean().item()
    recipe = Recipe(steps=20, batch=8, lr=3e-3, muon_lr=2e-2, seed=1, warmup=1, average=0.5)
    student = distil.train_encoder(vae, model, pool, run, recipe, side=32)
    after = (student(x) - model.encode(x * 2 - 1).latents).square().mean().item()
    assert after < 0.7 * before


def test_half_of_the_new_cutouts_are_perturbed_within_the_budget(pool):
    pool.follow(0)
    student, model = distil.LatentEncoder(small_vae()), small_teacher()
    buffer = distil.ReplayBuffer(pool, distil.teacher_encoder(model, Casting()), student, 64, 12)
    buffer.renew(np.random.default_rng(5), torch.Generator().manual_seed(1))
    x, latents = buffer.batch(np.random.default_rng(1), 12)
    clean = cutouts.draw(pool, np.random.default_rng(5), 12, 64)
    moved = (x - clean).abs().amax((1, 2, 3))
    assert (moved[:6] > distil.LEAST / 2).all()
    assert (moved <= distil.MOST + 1e-3).all()
    assert (moved[6:] < 1e-3).all()
    assert torch.allclose(latents, model.encode(x * 2 - 1).latents, atol=0.02)


def test_the_assembled_autoencoder_encodes_as_the_student_and_hardly_samples(tmp_path):
    vae = architecture.vae()
    student = distil.LatentEncoder(vae).half().float()
    stages.write(tmp_path / "encoder.safetensors", student, 1)
    whole = assemble.autoencoder(tmp_path)
    x = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    posterior = whole.encode(x * 2 - 1).latent_dist
    assert torch.allclose(posterior.mean * whole.config.scaling_factor, student(x), atol=1e-5)
    assert posterior.std.max() < 0.01
    with pytest.raises(FileNotFoundError, match="encoder"):
        assemble.autoencoder(tmp_path, "-xl")


def test_the_latest_stage_of_a_half_is_taken(tmp_path):
    first, last = distil.LatentEncoder(architecture.vae()), distil.LatentEncoder(architecture.vae())
    stages.write(tmp_path / "encoder.safetensors", first, 1)
    stages.write(tmp_path / "encoder-whole.safetensors", last, 1)
    got = assemble.autoencoder(tmp_path).encoder.conv_in.weight
    assert torch.allclose(got, last.encoder.conv_in.weight, atol=1e-3)


@pytest.mark.parametrize("perceptual", [False, True])
def test_a_decoder_learns_to_paint_the_latents(pool, tmp_path, perceptual, monkeypatch):
    class Apart(nn.Module):
        def forward(self, y, x):
            return (y - x).square().mean((1, 2, 3))

    monkeypatch.setattr(teacher, "perceptual", Apart)
    run, vae, model = a_run(tmp_path), small_vae(), small_teacher()
    recipe = Recipe(steps=20, batch=6, lr=3e-3, muon_lr=2e-2, seed=1, warmup=1, average=0.5)
    encoders = [distil.teacher_encoder(model, run.casting)]
    train_one = decoder.train_decoder(vae, encoders, pool, run, recipe, side=32, perceptual=perceptual)
    x = to_pixels(np.stack([pool.picture(n) for n in range(6)])) * 2 - 1
    latents = model.encode(x).latents
    untrained = (decoder.LatentDecoder(small_vae())(latents) - x).abs().mean()
    assert (train_one(latents) - x).abs().mean() < 0.9 * untrained


def test_a_decoder_learns_from_an_equal_part_of_each_encoders_latents(pool, tmp_path):
    counts: list[list[int]] = [[], []]

    def encoder(number):
        def encode(x):
            counts[number].append(len(x))
            return torch.zeros(len(x), 4, 4, 4)

        return encode

    recipe = Recipe(steps=1, batch=6, lr=1e-3, muon_lr=1e-3, seed=1)
    encoders = [encoder(0), encoder(1)]
    decoder.train_decoder(small_vae(), encoders, pool, a_run(tmp_path), recipe, side=32, perceptual=False)
    assert counts[0] == counts[1] != []
    assert set(counts[0]) == {3}


SMALL = Base("mini-a", "v_prediction", (16, 16, 16), 16, 2)
SMALL_XL = Base("mini-xl", "epsilon", (16, 16, 16), 16, 2)


@pytest.fixture(scope="module")
def words(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("words")
    tokenizer.write(folder, tokenizer.words_to_learn(styles.all_names(), list(scenes.SUBJECTS)))
    return folder


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
    kept = [gates.stages.FOLDER.parents[1] / "weights" / name for name in ("mini-clip", "mini-vae-c")]
    old = sum(path.stat().st_size for folder in kept for path in folder.rglob("*.safetensors"))
    assert new + old < 63e6


def test_an_attack_stays_within_its_budget_and_goes_further_than_noise():
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    student = distil.LatentEncoder(small_vae()).requires_grad_(False)
    y = gates.attacked(student, x, torch.Generator().manual_seed(2))
    assert (y - x).abs().max() <= gates.BUDGET + 1e-6
    noisy = (x + (torch.rand(x.shape) - 0.5).sign() * gates.BUDGET).clamp(0, 1)
    assert gates.shift(student, x, y, 1.0) > 1.5 * gates.shift(student, x, noisy, 1.0)


def test_gates_hold_for_an_equal_of_the_teacher_and_fail_for_a_robust_encoder():
    equal = gates.Figures("vellmar", 0.0, 1.09, 0.3, 1.09, 1.09, 25.0, 25.2, 0.08, 0.07)
    robust = gates.Figures("vellmar", 0.5, 0.37, 0.05, 1.09, 0.3, 23.0, 25.2, float("nan"), float("nan"))
    blurred = gates.Figures("vellmar", 0.0, 1.09, 0.3, 1.09, 1.09, 25.0, 25.2, 0.3, 0.07)
    assert all(gate.holds for gate in gates.all_gates([equal]))
    failed = {gate.name for gate in gates.all_gates([robust]) if not gate.holds}
    assert failed == {"shift", "transfer to the teacher", "dB above the teacher's"}
    assert [gate.name for gate in gates.all_gates([blurred]) if not gate.holds] == ["LPIPS under the teacher's"]


def test_a_reconstruction_is_measured_against_the_picture():
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gates, "STEPS", 2)
        got = gates.measure("vellmar", x, small_vae(), small_teacher(), lambda a, b: (a - b).square().mean((1, 2, 3)))
    assert got.noise_shift < 3 * got.shift
    assert 0 < got.psnr < 20
    assert got.lpips == pytest.approx(4 * 10 ** (-got.psnr / 10), rel=0.2)


def test_a_missing_folder_of_paintings_is_skipped_with_a_reason(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv(teacher.ASSETS, str(tmp_path))
    names = [name for name, _ in gates.pictures(1)]
    assert names[:2] == ["swirl", "crosshatch"]
    assert gates.PAINTINGS not in names
    assert json.loads(capsys.readouterr().out)["skipped"] == gates.PAINTINGS


def test_the_classifier_learns_from_drawn_pictures(pool, tmp_path):
    recipe = Recipe(steps=30, batch=8, lr=3e-3, muon_lr=1e-2, seed=1, warmup=1, average=0.5)
    run = a_run(tmp_path)
    model = paint.train_classifier(pool, run, recipe)
    seen = paint.classified(model, np.stack([pool.picture(n) for n in range(8)]))
    assert seen.shape == (2, 8)
    assert log(run)[-1]["loss"] < np.log(30) + np.log(10)


def test_the_classifier_reports_by_style_and_subject():
    pairs = paint.all_pairs(1)
    seen = np.array(pairs).T.copy()
    assert paint.report(pairs, seen)["holds"] is True
    seen[1, ::2] = 9
    accuracy = paint.report(pairs, seen)
    assert accuracy["holds"] is False
    assert accuracy["style"] == 1.0
    assert accuracy["subjects"]["boat"] == 0.0


def test_every_stage_is_offered_and_the_device_is_cpu_unless_asked(capsys):
    options = parser().parse_args([])
    assert options.device == "cpu"
    assert options.names[:2] == ["encoder", "encoder-whole"]
    assert options.names[-1] == "export"
