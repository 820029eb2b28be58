"""What cannot run is known before: `plan`, `doctor` and `run` say one sentence."""

from __future__ import annotations

import logging
import os
from dataclasses import replace

import numpy as np
import pytest
import tiny
from stub_hub import Hub

from cloakbench import doctor, readiness, submissions
from cloakbench.commands.plan import to_lines
from cloakbench.errors import UserError
from cloakbench.readiness import Device
from cloakbench.runs import entries, forecast
from cloakbench.runs import session as sessions
from cloakbench.runs.choice import Choice
from cloakbench.schemas.kinds import Status
from cloakbench.submissions.guard import Order
from cloakbench.submissions.loading import Claims
from cloakbench.submissions.sandbox.client import SandboxedSubmission, SurrogateChoice
from cloakbench.suites import load as suites
from tests import roots
from tests.running import run

CPU, LARGE = Device("cpu"), Device("cuda", gib=80.0)
CLAIMS = Claims(budget="linf", needs=("surrogate",), title="T", paper="", licence="", deterministic=True, control=None)
NEEDY = """
import torch
from cloakbench import Protection


class Needy(Protection):
    title = "Needy"
    needs = frozenset({"mask", "class-images", "clip", "model:mini-b"})

    def protect(self, images, request):
        assert request.masks.shape == (len(images), 1, *images.shape[-2:])
        assert request.class_images.shape == (2, 3, 128, 128)
        assert request.models["mini-b"].scheduler.config.prediction_type == "v_prediction"
        features = request.clip.encode_images(images)
        assert features.shape == request.clip.encode_texts(["a", "b"])[:1].expand(len(images), -1).shape
        return (images + request.masks / 255).clamp(0, 1)
"""


def test_a_suite_for_a_gpu_says_what_a_cpu_or_a_small_gpu_means():
    painting = suites.load("painting")
    assert readiness.suite_lacks(suites.load("mini"), CPU) is None
    assert readiness.suite_lacks(painting, LARGE) is None
    lack = readiness.suite_lacks(painting, CPU)
    assert lack is not None
    assert f"{painting.gpu_gib:g} GiB" in lack.reason
    assert "--device cpu" in lack.remedy
    assert readiness.suite_warnings(painting, LARGE) == []
    [small] = readiness.suite_warnings(painting, replace(LARGE, gib=12.0))
    assert "12 GiB" in small
    [emulated] = readiness.suite_warnings(painting, replace(LARGE, has_bfloat16=False, compiles=False))
    assert "bfloat16" in emulated
    [slow] = readiness.suite_warnings(painting, replace(LARGE, compiles=False))
    assert "gcc" in slow


@pytest.mark.parametrize(
    ("need", "device", "words"),
    [
        ("mask", LARGE, "masks"),
        ("gpu", CPU, "a GPU"),
        ("vram:96", LARGE, "80 GiB"),
        ("vram:8", CPU, "8 GiB"),
        ("model:sd21", LARGE, "'sd21'"),
        ("vram:40", LARGE, ""),
        ("gpu", LARGE, ""),
        ("clip", CPU, ""),
        ("model:mini-b", CPU, ""),
    ],
)
def test_a_need_that_is_not_met_is_named_with_its_remedy(need, device, words, monkeypatch, tmp_path):
    monkeypatch.setenv("CLOAKBENCH_LOCK", str(tmp_path / "lock.json"))
    claims = CLAIMS.model_copy(update={"needs": (need,)})
    lack = readiness.entry_lacks("cloak", claims, suites.load("mini"), device, False, Hub({}))
    assert (lack is None) == (words == "")
    if lack is not None:
        assert lack.reason.startswith("cloak needs")
        assert words in lack.reason
        assert lack.remedy


@pytest.mark.parametrize("need", ["vram:", "vram:0", "masks", "model:", "model:../x", 3])
def test_a_need_that_nobody_knows_is_refused(need):
    assert not submissions.needs.is_valid(need)


@pytest.fixture
def on_sd15(tmp_path, sd_stand_ins, monkeypatch):
    """The tiny suite on a stand-in for Stable Diffusion, with FastProtect as the only installed protection."""
    path = tmp_path / "tiny.toml"
    path.write_text(tiny.TEXT.replace('"mini-a"', '"sd15"'))
    monkeypatch.setattr(entries, "_all_others", lambda *given: [entries.entry("fastprotect", *given)])
    return path


def test_an_entry_without_its_perturbations_is_known_before(on_sd15, tmp_path, monkeypatch, caplog):
    session = sessions.plan(Choice(str(on_sd15)), tmp_path / "store")
    sentence = str(session.unready["fastprotect"])
    assert "'sd15'" in sentence
    assert "cloakbench_fastprotect.train --model sd15" in sentence
    listing = submissions.discover()
    alone = replace(listing, offers=tuple(offer for offer in listing.offers if offer.name == "fastprotect"))
    monkeypatch.setattr(submissions, "discover", lambda: alone)
    checks = {}
    for finding in doctor.examine(tmp_path / "store", str(on_sd15), fetch=Hub({})):
        checks[finding.name] = finding
    assert checks["protection fastprotect"] == doctor.Finding("protection fastprotect", "warning", sentence)
    assert sentence in list(to_lines(forecast.forecast(session)))
    mine = [cell for cell in session.cells if cell.entry.facts.name == "fastprotect"]
    assert forecast.forecast(session).missing == len(session.cells) - len(mine)
    with pytest.raises(UserError, match="fastprotect to be prepared"):
        sessions.plan(Choice(str(on_sd15), ["fastprotect"]), tmp_path / "store")
    only = replace(session, cells=mine)
    with caplog.at_level(logging.WARNING):
        records = run(only)
    assert sentence in caplog.text
    assert {(record.status, record.reason) for record in records} == {(Status.SKIPPED, sentence)}
    assert run(only) == []
    ready = replace(only, unready={})
    assert ready.missing() == mine


def test_a_suite_for_a_gpu_starts_on_a_cpu_only_where_that_is_asked_for(cloakbench, tiny_suite, stand_ins, tmp_path):
    tiny_suite.write_text(tiny_suite.read_text().replace("threads = 1", "threads = 1\ngpu_gib = 8"))
    ask = ("run", tiny_suite, "--protection", "placebo", "--limit", "1", "--store", tmp_path / "store")
    refused = cloakbench(*ask)
    assert (refused.code, "--device cpu" in refused.err) == (2, True)
    assert not list((tmp_path / "store").rglob("*.json"))
    assert "--device cpu" in cloakbench("plan", *ask[1:]).out
    assert cloakbench(*ask, "--device", "cpu").code == 0


def test_limits_of_a_suite_are_those_of_a_call():
    limits = entries.call_limits(suites.load("painting"))
    assert (limits.seconds, limits.memory_bytes) == (21600, 64 << 30)
    assert entries.call_limits(suites.load("mini")) == submissions.sandbox.client.Limits()


@pytest.fixture
def needy(tmp_path, monkeypatch, stand_ins):
    """An installed protection that needs everything that a request can hold."""
    site = tmp_path / "site"
    facts = site / "needy-1.0.dist-info"
    facts.mkdir(parents=True)
    (site / "needy.py").write_text(NEEDY)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: needy\nVersion: 1.0\nSummary: Needy\n")
    (facts / "entry_points.txt").write_text("[cloakbench.protections]\nneedy = needy:Needy\n")
    (facts / "RECORD").write_text("needy.py,,\nneedy-1.0.dist-info/METADATA,,\n")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), roots.PYTHONPATH]))
    return "needy"


@pytest.mark.usefixtures("forked_workers")
def test_masks_class_images_models_and_clip_reach_a_protection(needy):
    images = [tiny.picture(1, 40, 44), tiny.picture(2, 40, 44)]
    masks = [np.zeros((40, 44), np.uint8) for _ in images]
    masks[0][:, :20] = 255
    order = Order(
        strength=1.0,
        budget_255=16,
        seed=0,
        class_word="painting",
        captions=["a", "b"],
        masks=masks,
        class_images=[tiny.picture(n) for n in (3, 4)],
        clip="mini-clip",
    )
    with SandboxedSubmission(needy) as worker:
        assert set(worker.load().needs) == {"mask", "class-images", "clip", "model:mini-b"}
        surrogate, other = (SurrogateChoice.at(alias, "cpu", "float32") for alias in ("mini-a", "mini-b"))
        first, second = worker.protect(images, order, surrogate, [other]).images
    assert set(np.unique(first[:, :20].astype(int) - images[0][:, :20])) == {1}
    assert np.array_equal(first[:, 20:], images[0][:, 20:])
    assert np.array_equal(second, images[1])


def test_what_an_entry_is_given_is_in_its_key(needy, tiny_suite, stand_ins, tmp_path):
    planned = entries.on_family([entries.entry(needy, tmp_path / "store", 1)], "mini")[0]
    assert planned.facts.looked_into == ["mini-b", "mini-clip"]
    suite = suites.load(str(tiny_suite))
    planner = sessions.Planner(suite, sessions.digests(suite, planned.facts.looked_into), "public")
    plain = tiny.artist(count=1)
    keys = []
    for mask in (0, 255):
        masked = replace(plain, masks=(np.full((128, 128), mask, np.uint8),))
        recipe = planner.cell(planned, 1.0, masked, suite.attacks[0], 0).recipes.content()["protect"]
        assert set(recipe["looked_into"]) == {"mini-b", "mini-clip"}
        keys.append(recipe["masks"])
    assert keys[0] != keys[1]
