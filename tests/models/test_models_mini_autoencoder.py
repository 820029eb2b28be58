"""The stages of the autoencoder for a few steps, and how its halves are assembled."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from training import a_run, small_teacher, small_vae

from cloakbench.models.mini import architecture
from cloakbench.models.mini.train import assemble, cutouts, decoder, distil, stages, teacher
from cloakbench.models.mini.train.loop import Recipe
from cloakbench.models.mini.train.pool import to_pixels
from cloakbench.models.mini.train.run import Casting


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


class SquaredError(nn.Module):
    """Stands in for LPIPS, whose weights may be missing."""

    def forward(self, y, x):
        return (y - x).square().mean((1, 2, 3))


def test_a_decoder_learns_to_paint_the_latents(pool, tmp_path, monkeypatch):
    monkeypatch.setattr(teacher, "perceptual", SquaredError)
    run, vae, model = a_run(tmp_path), small_vae(), small_teacher()
    recipe = Recipe(steps=20, batch=6, lr=3e-3, muon_lr=2e-2, seed=1, warmup=1, average=0.5)
    encoders = [distil.teacher_encoder(model, run.casting)]
    train_one = decoder.train_decoder(vae, encoders, pool, run, recipe, side=32)
    x = to_pixels(np.stack([pool.picture(n) for n in range(6)])) * 2 - 1
    latents = model.encode(x).latents
    untrained = (decoder.LatentDecoder(small_vae())(latents) - x).abs().mean()
    assert (train_one(latents) - x).abs().mean() < 0.9 * untrained


def test_a_decoder_learns_from_an_equal_part_of_each_encoders_latents(pool, tmp_path, monkeypatch):
    monkeypatch.setattr(teacher, "perceptual", SquaredError)
    counts: list[list[int]] = [[], []]

    def encoder(number):
        def encode(x):
            counts[number].append(len(x))
            return torch.zeros(len(x), 4, 4, 4)

        return encode

    recipe = Recipe(steps=1, batch=6, lr=1e-3, muon_lr=1e-3, seed=1)
    encoders = [encoder(0), encoder(1)]
    decoder.train_decoder(small_vae(), encoders, pool, a_run(tmp_path), recipe, side=32)
    assert counts[0] == counts[1] != []
    assert set(counts[0]) == {3}
