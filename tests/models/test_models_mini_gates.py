"""What is measured of a trained autoencoder, and of what a base model paints."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from training import a_run, log, small_teacher, small_vae

from cloakbench.models.mini.train import distil, gates, paint, teacher
from cloakbench.models.mini.train.loop import Recipe


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
    for gate in gates.all_gates([equal]):
        assert gate.holds
    failed = set()
    for gate in gates.all_gates([robust]):
        if not gate.holds:
            failed.add(gate.name)
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
