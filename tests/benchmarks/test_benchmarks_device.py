"""The scripts for a device: exact where they claim it, and each runs narrow on a CPU and reports everything."""

from __future__ import annotations

import json
import sys

import formula
import impress
import latency
import numpy as np
import on_device
import packing
import pytest
import torch

from cloakbench.attacks.mimicry.lora import LoRA

RECIPE = {"rank": 2, "alpha": 4.0, "steps": 3, "batch": 2, "learning_rate": 1e-3}


def reported(script, monkeypatch, tmp_path, *arguments):
    out = tmp_path / "report.json"
    monkeypatch.setattr(sys, "argv", ["script", *arguments, "--out", str(out)])
    script.main()
    return json.loads(out.read_text())


def learned(unet):
    """The adapters that peft trained, by projection."""
    adapters = {name: module for name, module in unet.named_modules() if hasattr(module, "lora_A")}
    return {name: [m.lora_A["default"].weight, m.lora_B["default"].weight] for name, m in adapters.items()}


def test_packed_adapters_are_those_that_cells_learn_alone(model):
    """Cells of different images and seeds; each sees only its own part of the batch."""
    data, seeds, attack = [formula.data(3), formula.data(2)], [3, 8], LoRA(**RECIPE)
    with formula.watching() as watched:
        together, losses = packing.train(model, attack, data, seeds)
    alone, gradients = [], []
    for single, seed in zip(data, seeds, strict=True):
        with formula.watching() as own:
            alone.append(attack.personalise(model, single, seed))
        gradients.append(own.gradients)
    first, second = alone
    assert losses == pytest.approx(np.add(first.losses, second.losses).tolist(), rel=1e-5)
    for step in range(RECIPE["steps"]):
        together_by_cell = [part[0] for part in watched.gradients[step]] + [part[1] for part in watched.gradients[step]]
        formula.assert_equal_gradients(together_by_cell, [*gradients[0][step], *gradients[1][step]])
    for cell, single in enumerate(alone):
        for name, (down, up) in learned(single.model.unet).items():
            packed = together.unet.get_submodule(name)
            assert torch.allclose(packed.down[cell], down, atol=2e-5)
            assert torch.allclose(packed.up[cell], up, atol=2e-5)


def test_one_of_the_packed_cells_predicts_as_it_does_alone(model):
    attack, data = LoRA(**RECIPE), [formula.data(3), formula.data(3)]
    together, _ = packing.train(model, attack, data, [3, 8])
    expected = attack.personalise(model, data[1], 8).model
    latents, context = torch.randn((2, 4, 16, 16), generator=torch.Generator().manual_seed(0)), model.embed(["a"] * 2)
    with torch.no_grad():
        ours, plain = (
            single.unet(latents, torch.tensor([5, 700]), encoder_hidden_states=context).sample
            for single in (packing.alone(together, model, 1), expected)
        )
    assert torch.allclose(ours, plain, atol=1e-4)


def test_latency_reports_sizes_against_the_loop_and_goes_on(stand_ins, monkeypatch, tmp_path, capsys):
    command = ("--protections", "placebo", "--sizes", "64", "128", "--images", "2", "--loop")
    report = reported(latency, monkeypatch, tmp_path, *command)
    costs = report["protections"]["placebo"]
    assert set(costs) == {"64", "128"}
    for cost in costs.values():
        assert cost["seconds"] > 0
        assert cost["peak_gib"] > 0
        assert cost["faster_than_loop"] > 0
    assert "| `placebo` |" in capsys.readouterr().out
    monkeypatch.setattr(latency, "one", None)  # everything is there already
    assert reported(latency, monkeypatch, tmp_path, *command)["protections"] == report["protections"]


def test_latency_leaves_out_what_takes_too_long_and_says_so(stand_ins, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(latency, "one", lambda *_: {"seconds": 10.0, "own_seconds": 10.0, "peak_gib": 1.0})
    command = ("--protections", "placebo", "--sizes", "64", "256", "--longest", "100")
    report = reported(latency, monkeypatch, tmp_path, *command)
    assert report["protections"]["placebo"]["256"] == {"left_out": "about 160 s per image by its pixels"}
    assert "about 160 s per image by its pixels" in capsys.readouterr().out


def test_packing_reports_the_large_model_from_its_narrow_one(monkeypatch, tmp_path, capsys):
    command = ("--sd15", "--tiny", "--cells", "2", "--steps", "2")
    report = reported(packing, monkeypatch, tmp_path, *command)
    assert {"packed", "alone", "faster", "share_of_peak", "cell", "memory_gib"} <= set(report)
    assert report["step_tflop"] > 0
    assert report["cell"]["seconds"] > 0
    assert json.loads(capsys.readouterr().out) == report


def test_impress_reports_and_reckons_what_it_did_not_make(monkeypatch, tmp_path, capsys):
    report = reported(
        impress, monkeypatch, tmp_path, "--sd15", "--tiny", "--minutes", "0.001", "--block", "1", "--loop"
    )
    assert (report["images"], report["steps"], report["reckoned"]) == (2, 3000, True)
    assert report["seconds"] == pytest.approx(report["first_seconds"] + report["step_seconds"] * 3000)
    assert report["faster_than_loop"] > 0
    assert json.loads(capsys.readouterr().out) == report


def test_a_profile_is_a_trace_and_a_table(tmp_path):
    with on_device.profiled(tmp_path / "trace.json"):
        torch.ones(8, 8) @ torch.ones(8, 8)
    assert json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert "aten::mm" in (tmp_path / "trace.txt").read_text()
