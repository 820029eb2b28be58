from __future__ import annotations

import json
import sys

import plain_protections
import protections
import pytest
import torch
from plain_protections import ProtectionJob

from cloakbench.contract import Request
from cloakbench.images import to_tensor
from cloakbench.models import loader
from cloakbench.whitebox import latent_means
from tests.tiny import picture


@pytest.fixture
def surrogate(stand_ins):
    return loader.load("mini-a").surrogate()


@pytest.fixture
def images():
    return to_tensor(picture(seed, 32, 32) for seed in range(2))


@pytest.mark.parametrize("entry", [e for e in plain_protections.LOOPS if e not in ("impasto", "fastprotect")])
def test_a_plain_loop_moves_the_images_as_far_as_it_may(entry, surrogate, images):
    plan = protections.case(entry, 2, surrogate, images)
    changed = plain_protections.LOOPS[entry](images, plan.job)
    assert changed.shape == images.shape
    assert 0 <= float(changed.min()) <= float(changed.max()) <= 1
    moved = (changed - images).abs()
    assert bool((moved.amax((1, 2, 3)) > 1 / 255).all())
    if "glaze" not in entry:  # which has no such limit
        assert float(moved.max()) <= protections.EPSILON + 1e-6
    for part in (surrogate.vae, surrogate.unet, surrogate.text_encoder):
        for p in part.parameters():
            assert not p.requires_grad
            assert p.grad is None


def test_ours_lowers_what_the_plain_photoguard_lowers_and_no_less(surrogate, images):
    job = ProtectionJob(
        surrogate, protections.case("photoguard", 20, surrogate, images).job.protection, 20, 16 / 255, ""
    )
    plain = plain_protections.LOOPS["photoguard"](images, job)
    ours = job.protection.protect(images, _asked(surrogate))
    before, theirs, mine = (_norm(surrogate, shown) for shown in (images, plain, ours))
    assert float(theirs) < 0.99 * float(before)
    assert float(mine) < 1.001 * float(theirs)


def test_the_script_reports_both_arms(stand_ins, tmp_path, monkeypatch, capsys):
    out = tmp_path / "report.json"
    command = ["protections.py", "--images", "1", "--steps", "1", "--rounds", "1", "--entries", "advdm"]
    monkeypatch.setattr(sys, "argv", [*command, "--out", str(out)])
    monkeypatch.setattr(protections, "memory", lambda *_: 0.5)
    protections.main()
    costs = json.loads(out.read_text())["entries"]["advdm"]
    assert costs["steps"] == 1
    assert costs["ratio"]["median"] > 0
    assert "| `advdm` | 1 |" in capsys.readouterr().out


@pytest.mark.long
def test_memory_is_that_of_a_process_of_its_own(stand_ins, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["protections.py"])
    arguments = protections.parser().parse_args(["--images", "1"])
    assert 0.001 < protections.memory(arguments, "advdm", "ours") < 4


def _asked(surrogate):
    generator = torch.Generator().manual_seed(0)
    return Request(1.0, 16 / 255, surrogate, generator, "painting", ("a painting",) * 2)


@torch.no_grad()
def _norm(surrogate, images):
    return latent_means(surrogate, images).norm()
