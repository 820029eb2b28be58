"""The script for real sizes, narrow: every stage of `painting` and `editing` has its time and memory."""

from __future__ import annotations

import json
import sys

import pytest
import real_size

STAGES = {
    "painting": {
        "protect photoguard[steps=2]",
        *(f"countermeasure {name}" for name in ("jpeg", "impress", "diffpure", "vae-trans", "noisy-upscale")),
        *(f"personalise {name} on sd15" for name in ("dreambooth", "lora", "textual-inversion", "dreamstyler")),
        "personalise dreambooth on sd21-base",
        "generate images of lora on sd15",
        "measure",
    },
    "editing": {
        "protect photoguard[steps=2]",
        "countermeasure impress",
        *(f"generate images of {name} on sd15-inpaint" for name in ("inpaint", "inpaint-box")),
        "generate images of edit-instruct on instruct-pix2pix",
    },
}


@pytest.mark.long
@pytest.mark.skipif(not (real_size.ASSETS / "sd_configs").is_dir(), reason="no configuration files: CLOAKBENCH_ASSETS")
def test_every_stage_is_measured_on_narrow_models(monkeypatch, tmp_path):
    out = tmp_path / "report.json"
    monkeypatch.setattr(sys, "argv", ["script", "--narrow", "--seconds", "1500", "--out", str(out)])
    real_size.main()
    report = json.loads(out.read_text())
    assert report["not_run"] == {}
    for suite, names in STAGES.items():
        measured = {name for name in report["stages"] if name.startswith(suite)}
        assert {f"{suite}: {name}" for name in names} <= measured
    for cost in report["stages"].values():
        assert cost["peak_gib"] > 0.1


def test_what_cannot_be_run_is_named():
    records = [{"attack": {"name": "lora"}, "status": "oom", "reason": "too large"}]
    assert "too large" in real_size._lack(records, "lora", "")
    assert real_size._lack(records, "jpeg", "exit code 137").endswith("137")
    assert real_size._lack([{**records[0], "status": "ok"}], "lora", "exit code 1") == ""
