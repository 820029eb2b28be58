"""The scripts for a device: exact where they claim it, and each runs narrow on a CPU and reports everything."""

from __future__ import annotations

import json
import sys

import impress
import latency
import on_device
import packing
import pytest
import torch


def reported(script, monkeypatch, tmp_path, *arguments):
    out = tmp_path / "report.json"
    monkeypatch.setattr(sys, "argv", ["script", *arguments, "--out", str(out)])
    script.main()
    return json.loads(out.read_text())


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
