"""The judge's gates on its shipped weights; the whole set of artists in the long tests."""

from __future__ import annotations

import time

import judge_gates
import numpy as np
import pytest
import tiny
import torch
from judge_gates import FLOOR, Scale

from cloakbench.metrics import imitation

FEW = ("swirl", "ostrava", "dunmore", "tamsin")


def scales(names):
    strips = judge_gates.read_strips(judge_gates.MIMICS)
    chosen = [artist for artist in judge_gates.artists() if artist.name in names]
    distance = judge_gates.DISTANCES["imitation-distance"]
    return [Scale(artist, strips.get(artist.name, strips["swirl"])[FLOOR], distance) for artist in chosen], strips


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
