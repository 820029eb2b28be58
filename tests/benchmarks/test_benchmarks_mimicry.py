from __future__ import annotations

import json
import sys

import mimicry
import mimicry_bench
import plain_loops
import pytest
import torch
from step_clock import timed
from torch import nn


@pytest.mark.parametrize("name", mimicry_bench.PLAIN)
def test_both_arms_train_on_the_same(stand_ins, name):
    with mimicry_bench.bench(*mimicry_bench.mini("mini-a", torch.device("cpu"))) as bench:
        ours, plain = bench.ours(name, 1).losses, bench.plain(name, 1)
    assert len(ours) == len(plain) == 1
    for loss in (*ours, *plain):
        assert 0 < loss < 10


def test_the_plain_batch_is_the_artist_then_the_class():
    items = [(torch.full((3, 2, 2), float(n)), torch.full((4,), n)) for n in range(4)]
    pixels, ids = plain_loops.together([(items[0], items[2]), (items[1], items[3])])
    assert pixels[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert ids[:, 0].tolist() == [0, 1, 2, 3]


def test_the_clock_tells_steps_from_set_up():
    weight = nn.Parameter(torch.zeros(1))

    def train(steps: int) -> None:
        optimizer = torch.optim.AdamW([weight])
        for _ in range(steps):
            optimizer.step()

    cost = timed(lambda: train(5), 5, torch.device("cpu"))
    assert cost.wall.step > 0
    assert cost.wall.setup >= 0
    with pytest.raises(ValueError, match=r"expected 4 steps .* got 3"):
        timed(lambda: train(3), 4, torch.device("cpu"))


@pytest.mark.long
def test_the_narrow_trial_of_the_large_model_reports_everything(tmp_path, monkeypatch, capsys):
    out = tmp_path / "report.json"
    command = ["mimicry.py", "--sd15", "--tiny", "--steps", "2", "--rounds", "1", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", command)
    mimicry.main()
    report = json.loads(out.read_text())
    assert set(report) == {"environment", "mimicry", "bf16_peak_tflops", "sampling", "cell"}
    for costs in report["mimicry"].values():
        assert costs["step_tflop"] > 0
    assert capsys.readouterr().out.startswith("| mimicry |")
