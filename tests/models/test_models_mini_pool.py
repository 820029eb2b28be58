"""The pictures that the embedded models learn from, and their teacher's latents."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from cloakbench.datasets.procedural import scenes, styles
from cloakbench.models.mini.train import cutouts, distil, teacher
from cloakbench.models.mini.train.pool import Pool, draw, encode, is_wide, to_pixels
from cloakbench.models.mini.train.run import Casting

TAESD = Path(os.environ.get(teacher.ASSETS, "../shared/assets")) / "taesd" / "taesd"


def test_a_chunk_is_drawn_again_alike_and_only_the_fourth_has_development_styles():
    images, labels = draw(0, 6)
    again, _ = draw(0, 6)
    assert np.array_equal(images, again)
    assert {styles.STYLES[n].group for n in labels[0]} == {"training"}
    assert [is_wide(n) for n in range(5)] == [False, False, False, True, False]
    groups = {styles.STYLES[n].group for n in draw(3, 24)[1][0]}
    assert groups == {"training", "development"}


def test_a_close_subject_fills_more_of_the_picture():
    def filled(framing: scenes.Framing) -> float:
        shown = []
        for n in range(12):
            shown.append(scenes.compose("vase", np.random.default_rng(n), framing).slots)
        return float(np.mean([np.isin(slots, [scenes.MAIN]).mean() for slots in shown]))

    assert filled(scenes.CLOSE) > 1.1 * filled(scenes.WIDE)


def test_a_pool_reads_what_has_come_and_keeps_held_out_styles_from_base_models(pool_folder):
    everything, known = Pool(pool_folder, "small", False), Pool(pool_folder, "small", True)
    everything.follow(0)
    known.follow(0)
    assert everything.latents.shape == (48, 4, 16, 16)
    assert known.labels.shape == (2, 40)
    assert np.array_equal(everything.picture(9), draw(1, 8)[0][1])


def test_the_teacher_is_shown_pictures_in_its_own_range():
    class Recorder(nn.Module):
        seen = None

        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))

        def encode(self, x):
            self.seen = x
            return type("Output", (), {"latents": x[:, :, ::8, ::8]})

    recorder = Recorder()
    ramp = np.linspace(0, 255, 128 * 128).astype(np.uint8).reshape(1, 128, 128, 1).repeat(3, -1)
    encode(recorder, ramp)
    assert (recorder.seen.min(), recorder.seen.max()) == (-1, 1)
    distil.teacher_encoder(recorder, Casting())(to_pixels(ramp))
    assert (recorder.seen.min(), recorder.seen.max()) == (-1, 1)


@pytest.mark.skipif(not TAESD.is_dir(), reason="TAESD is not among the assets")
def test_the_real_teachers_latents_decode_to_the_picture():
    model = teacher.load("taesd")
    picture = styles.paint("gouache", "house", [1])[None]
    with torch.no_grad():
        again = model.decode(torch.from_numpy(encode(model, picture)).float()).sample / 2 + 0.5
    assert float(-10 * (again - to_pixels(picture)).square().mean().log10()) > 22


def test_cut_outs_are_pictures_of_the_wanted_side(pool):
    pool.follow(0)
    x = cutouts.draw(pool, np.random.default_rng(1), 10, 64)
    assert x.shape == (10, 3, 64, 64)
    assert x.min() >= 0
    assert x.max() <= 1
    assert x.flatten(1).std(1).min() > 0
