"""The judge's gates on its shipped weights; the whole set of artists in the long tests."""

from __future__ import annotations

import os
import time
from pathlib import Path

import judge_gates
import numpy as np
import pytest
import tiny
import torch
from judge_gates import FLOOR, Scale

from cloakbench.metrics import imitation

FEW = ("swirl", "ostrava", "stencil", "tamsin")
MISSED = {"rows, mean over artists", "patches, mean over artists", "posterise, monotone in the mean"}
LOWEST_MISSED = {"noise, lowest"}
"""Figures that miss what is wanted, as the model card says."""


def scales(names):
    strips = judge_gates.read_strips(judge_gates.MIMICS)
    chosen = [artist for artist in judge_gates.artists() if artist.name in names]
    distance = judge_gates.DISTANCES["imitation-distance"]
    return [Scale(artist, strips.get(artist.name, strips["swirl"])[FLOOR], distance) for artist in chosen], strips


@pytest.fixture
def assets(monkeypatch):
    """The folder of VGG16 and Inception; nothing is downloaded."""
    folder = Path(os.environ.get("CLOAKBENCH_ASSETS") or Path(__file__).parents[3] / "shared" / "assets").absolute()
    if not (folder / "torch_home").is_dir():
        pytest.skip(f"no real weights: no torch_home in {folder} (CLOAKBENCH_ASSETS)")
    monkeypatch.setenv("TORCH_HOME", str(folder / "torch_home"))
    monkeypatch.setenv("CLOAKBENCH_ASSETS", str(folder))


@pytest.fixture(scope="module")
def few():
    return scales(FEW)


def test_the_scale_is_0_for_own_pictures_and_1_for_the_floor(few):
    for scale in few[0]:
        assert scale(scale.artist.scale) == pytest.approx(0, abs=1e-6)
        assert 0 <= scale.own < scale.floor <= 1


def test_a_picture_takes_at_most_30_ms_of_a_core():
    pictures = [tiny.picture(n) for n in range(16)]
    imitation.features(pictures)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    began = time.process_time()
    imitation.features(pictures)
    torch.set_num_threads(threads)
    assert (time.process_time() - began) / len(pictures) < 0.03


def test_the_sheet_begins_with_the_nearest_pictures(few):
    sheet = np.asarray(judge_gates.sheet(few[0], few[1], 24))
    assert sheet.shape == (2 * 128, 12 * 128, 3)


def test_ruins_are_far_and_unseen_own_pictures_near(few):
    means = {}
    for kind, row in judge_gates.drawn_ruins(few[0]).items():
        means[kind] = float(np.mean(list(row.values())))
    listed = ("noise", "uniform", "blotches", "stripes", "patches")
    assert min(means[kind] for kind in listed) >= judge_gates.RUINED, means
    own = float(np.mean([scale(scale.artist.unseen) for scale in few[0]]))
    assert own <= judge_gates.OWN_MOST


def test_what_mimics_paint_after_a_protection_at_32_is_far(few):
    rows = {}
    for scale in few[0]:
        for arm, pictures in few[1].get(scale.artist.name, {}).items():
            protection, _, levels = arm.partition("@")
            if protection in ("advdm", "anti-dreambooth", "photoguard") and int(levels) >= 32:
                rows[scale.artist.name, arm] = scale(pictures)
    assert len(rows) == 9
    assert min(rows.values()) >= judge_gates.RUINED, rows


@pytest.mark.long
def test_the_gates_in_the_mean_over_all_artists():
    every, strips = scales([artist.name for artist in judge_gates.artists()])
    figures = [
        *judge_gates.gate_ruins(every, strips),
        *judge_gates.gate_degradations(every, strips),
        *judge_gates.gate_styles(every, strips),
    ]
    missed = set()
    for gate in figures:
        if "mean" in gate.name and not gate.holds:
            missed.add(gate.name)
    assert missed == MISSED
    assert {gate.name for gate in figures if "lowest" in gate.name and not gate.holds} == LOWEST_MISSED


@pytest.mark.long
def test_no_arm_that_gram_and_kid_put_beyond_clean_protects_less_than_nothing(assets):
    every, strips = scales(FEW)
    figures = list(judge_gates.gate_outside(every, strips))
    assert figures
    assert [gate for gate in figures if gate.name.startswith("P of arms") and not gate.holds] == []
