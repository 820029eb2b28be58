"""The loop of a training: its rates, its stops and its precision."""

from __future__ import annotations

import signal
import time

import pytest
import torch
from torch import nn
from training import SHORT, a_run, log

from cloakbench.models.mini.train import stages
from cloakbench.models.mini.train.loop import Recipe, generator, learning_rate, train
from cloakbench.models.mini.train.muon import orthogonalise
from cloakbench.models.mini.train.run import Casting


@pytest.mark.parametrize("shape", [(16, 200), (200, 16), (32, 96)])
def test_an_orthogonalised_matrix_has_singular_values_near_one(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    values = torch.linalg.svdvals(orthogonalise(matrix))
    assert values.min() > 0.6
    assert values.max() < 1.25


def test_the_rate_warms_up_after_each_beginning_and_falls_to_zero():
    recipe = Recipe(steps=100, batch=1, lr=1, muon_lr=1, seed=0, warmup=10, decay_share=0.5)
    assert [learning_rate(recipe, step) for step in (0, 9, 50)] == [0.1, 1.0, 1.0]
    assert learning_rate(recipe, 75) == pytest.approx(0.5)
    assert learning_rate(recipe, 40, began=40) == pytest.approx(0.1)


def a_loss(module: nn.Module):
    def loss(step: int) -> torch.Tensor:
        x = torch.randn(8, 4, generator=generator(SHORT, step))
        return (module(x) - x.flip(1)).square().mean()

    return loss


def linear() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(4, 4)


def test_a_stopped_training_goes_on_as_if_it_had_not_stopped(tmp_path):
    whole, halted = linear(), linear()
    recipe = Recipe(steps=8, batch=1, lr=1e-2, muon_lr=1e-2, seed=1, warmup=2)
    expected = train(whole, recipe, a_loss(whole), a_run(tmp_path / "whole"))
    stopped = a_run(tmp_path / "halted")

    def until_the_fourth(step: int) -> torch.Tensor:
        if step == 4:
            signal.raise_signal(signal.SIGTERM)
        return a_loss(halted)(step)

    before = signal.getsignal(signal.SIGTERM)
    train(halted, recipe, until_the_fourth, stopped)
    assert signal.getsignal(signal.SIGTERM) is before
    assert torch.load(stopped.checkpoint, weights_only=True)["step"] == 5
    again = linear()
    resumed = train(again, recipe, a_loss(again), a_run(tmp_path / "halted"))
    assert torch.equal(resumed.weight, expected.weight)


def test_without_a_checkpoint_a_training_goes_on_from_the_committed_half_precision_weights(tmp_path):
    first = a_run(tmp_path)
    module = linear()
    train(module, SHORT, a_loss(module), first)
    assert stages.steps(first.weights) == 3
    first.checkpoint.unlink()
    longer = Recipe(steps=5, batch=1, lr=0.0, muon_lr=0.0, seed=1)
    module = nn.Linear(4, 4)
    average = train(module, longer, a_loss(module), a_run(tmp_path))
    kept = linear()
    assert stages.read(first.weights, kept) == 5
    assert torch.allclose(average.weight, kept.weight, atol=1e-3)
    assert torch.load(first.checkpoint, weights_only=True)["began"] == 3


def test_a_stage_with_an_origin_begins_with_its_weights_at_step_zero(tmp_path):
    module = linear()
    origin = tmp_path / "earlier.safetensors"
    stages.write(origin, module, 700)
    other = nn.Linear(4, 4)
    run = a_run(tmp_path, origin=origin)
    train(other, Recipe(steps=1, batch=1, lr=0.0, muon_lr=0.0, seed=1), a_loss(other), run)
    assert stages.steps(run.weights) == 1
    assert torch.allclose(other.weight, module.weight, atol=1e-3)


def test_time_that_is_up_stops_a_training_and_leaves_its_weights(tmp_path):
    module = linear()
    run = a_run(tmp_path, minutes=0.0)
    train(module, SHORT, a_loss(module), run)
    assert stages.steps(run.weights) == 0
    assert run.weights.exists()


def test_the_log_says_which_precision_was_quicker(tmp_path):
    module = linear()
    run = a_run(tmp_path)
    train(module, SHORT, a_loss(module), run)
    facts = log(run)[0]
    assert facts["bfloat16"] == (facts["seconds_per_step"]["bfloat16"] < facts["seconds_per_step"]["float32"])


@pytest.mark.parametrize("slow", [False, True])
def test_the_quicker_precision_is_taken(slow, monkeypatch):
    casting, clock = Casting(), [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])

    def trial():
        clock[0] += 2.0 if casting.reduced == slow else 1.0

    casting.measure(trial)
    assert casting.reduced is not slow
