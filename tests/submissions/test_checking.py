"""The score card, on protections whose faults are known; each is asked through its own process."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from sandboxes import HAS_BUBBLEWRAP

from cloakbench import cli
from cloakbench.commands import submit
from cloakbench.errors import UserError
from cloakbench.runs import official
from cloakbench.submissions import checking, suspicion
from tests import roots
from tests.submissions import hostile

SOURCE = """
from pathlib import Path
import time
import torch
from torch.nn import functional as F
from cloakbench import Protection


class Hostile(Protection):
    title = "Faulty"
    licence = "none"

    def __init__(self, *, kind: str = "blur"):
        self.kind = kind

    def protect(self, images, request):
        if self.kind == "blur":
            soft = F.avg_pool2d(F.pad(images, (2, 2, 2, 2), mode="reflect"), 5, 1)
            return images + (0.1 * request.strength * (soft - images)).clamp(-request.epsilon, request.epsilon)
        if self.kind == "restless":
            torch.manual_seed(time.time_ns())
            return (images + (torch.randint(0, 2, images.shape) * 2 - 1) * 4 / 255).clamp(0, 1)
        if self.kind == "faint":
            return (images + 0.3 / 255).clamp(0, 1)
        if self.kind == "curious":
            try:
                Path("/etc/cloakbench-was-here").write_text("x")
            except OSError:
                pass
            return images + 1 / 255 - (images + 1 / 255 - 1).clamp(min=0)
        return images[..., :-8]
"""


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hostile.install(tmp_path / "site", "faulty", SOURCE)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "site"), roots.PYTHONPATH]))


def failed(spelling: str) -> set[str]:
    return {line.name for line in checking.check(spelling).checks if not line.passed}


@pytest.mark.usefixtures("forked_workers")
def test_blur_is_accepted_and_flagged() -> None:
    card = checking.check("faulty[kind=blur]")
    assert card.accepted
    names = set()
    for line in card.checks:
        if not line.passed:
            names.add(line.name)
    assert "no mere blur or recolouring" in names
    isolation = next(line for line in card.checks if line.name == "runs behind bubblewrap")
    assert isolation.passed == ("against accidents" not in isolation.detail)


@pytest.mark.skipif(not HAS_BUBBLEWRAP, reason="an official run is refused before that without bubblewrap")
def test_restless_output_is_refused_by_an_official_run_before_anything_runs() -> None:
    with pytest.raises(UserError, match=r"accepts, got faulty\[kind=restless\]: .*same seed, same bytes: ") as refused:
        official.require_accepted(["faulty[kind=restless]"])
    assert "cloakbench check faulty[kind=restless]" in refused.value.hint


@pytest.mark.usefixtures("forked_workers")
def test_a_change_that_rounding_wipes_out_is_refused() -> None:
    assert "survives rounding to 8 bit" in failed("faulty[kind=faint]")


def test_reaching_outside_is_refused_and_named() -> None:
    card = checking.check("faulty[kind=curious]")
    line = next(line for line in card.checks if line.name == "touches no network and no foreign files")
    assert (line.passed, "cloakbench-was-here" in line.detail) == (False, True)
    assert not card.accepted
    assert not Path("/etc/cloakbench-was-here").exists()


@pytest.mark.usefixtures("forked_workers")
def test_another_shape_is_one_clear_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submit, "refuse_unknown", lambda names: None)  # the planted entry is in no package's metadata
    with pytest.raises(SystemExit) as ended:
        cli.main(["check", "faulty[kind=narrow]", "--json"])
    assert ended.value.code == 2
    card = json.loads(capsys.readouterr().out)
    assert card["accepted"] is False
    detail = next(line["detail"] for line in card["checks"] if line["name"] == "runs")
    assert detail.startswith("expected the shape of the images")


def test_unknown_names_are_the_users_error() -> None:
    with pytest.raises(UserError, match="expected an installed protection, got 'fauly'"):
        checking.check("fauly")


def test_recoloured_explains_a_colour_shift_and_not_noise() -> None:
    generator = np.random.default_rng(0)
    image = generator.integers(40, 200, (32, 32, 3), dtype=np.uint8)
    warmer = np.clip(image * np.array([1.05, 1.0, 0.9]) + 4, 0, 255).astype(np.uint8)
    noisy = (image + generator.choice([-8, 8], image.shape)).astype(np.uint8)
    assert suspicion.recoloured(image, warmer) > 0.98
    assert suspicion.recoloured(image, noisy) < 0.1
    assert suspicion.recoloured(image, image) == 0
