"""Adapters that cells learn together against those that each learns alone."""

from __future__ import annotations

import formula
import pytest
import torch

from cloakbench.attacks.mimicry import packed
from cloakbench.attacks.mimicry.lora import LoRA
from cloakbench.attacks.mimicry.packed import PackedCell
from cloakbench.models import compiled, loader

RECIPE = {"rank": 2, "alpha": 4.0, "steps": 3, "batch": 2, "learning_rate": 1e-3}


def cells():
    """Cells of different images and seeds, two of them with the same seed, as two arms of a run have."""
    return [PackedCell(formula.data(3), 3), PackedCell(formula.data(2), 8), PackedCell(formula.data(2), 3)]


@pytest.mark.parametrize("further", [{}, {"average": 0.9}, {"gradient_checkpointing": True}], ids=str)
def test_packed_adapters_are_those_that_cells_learn_alone(model, further):
    """Each sees only its own part of the batch."""
    attack = LoRA(**RECIPE, **further)
    with formula.watching() as watched:
        together = packed.train(model, attack, cells())
    for number, (data, seed) in enumerate(cells()):
        with formula.watching() as own:
            alone = attack.personalise(model, data, seed)
        for ours, expected in zip(watched.gradients, own.gradients, strict=True):
            formula.assert_equal_gradients([part[number] for part in ours], expected)
        again = packed.mimic(model, attack, together[number])
        assert alone.adapters.keys() == again.adapters.keys()
        assert again.metadata == alone.metadata
        for name, expected in alone.adapters.items():
            assert torch.allclose(again.adapters[name], expected, atol=2e-5)


def test_a_packed_mimic_predicts_as_the_one_that_learned_alone(model):
    attack = LoRA(**RECIPE)
    together = packed.train(model, attack, cells())
    expected = attack.personalise(model, formula.data(2), 8).model
    ours = packed.mimic(model, attack, together[1]).model
    latents, context = torch.randn((2, 4, 16, 16), generator=torch.Generator().manual_seed(0)), model.embed(["a"] * 2)
    predictions = []
    with torch.no_grad():
        for unet in (ours.unet, expected.unet, model.unet):
            predictions.append(unet(latents, torch.tensor([5, 700]), encoder_hidden_states=context).sample)
    assert torch.allclose(predictions[0], predictions[1], atol=1e-4)
    assert not torch.allclose(predictions[0], predictions[2], atol=1e-4)


def test_what_is_not_finite_in_one_cell_stays_there(model):
    broken = formula.data(2)
    broken.images[:] = torch.nan
    alone, spoiled = packed.train(model, LoRA(**RECIPE), [PackedCell(formula.data(3), 3), PackedCell(broken, 8)])
    for pair in alone.values():
        for matrix in pair:
            assert matrix.isfinite().all()
    assert not all(matrix.isfinite().all() for pair in spoiled.values() for matrix in pair)


@pytest.mark.long
def test_a_compiled_pack_learns_the_same(stand_ins, monkeypatch):
    """By the compiler of this machine, in single precision."""
    model = loader.load("mini-a")
    expected = packed.train(model, LoRA(**RECIPE), cells())
    compiled_programs = []
    monkeypatch.setattr(compiled, "is_possible", lambda *_: compiled_programs.append(1) or True)
    ours = packed.train(model, LoRA(**RECIPE), cells(), is_compiled=True)
    assert compiled_programs
    for got, plain in zip(ours, expected, strict=True):
        for name, pair in plain.items():
            for matrix, other in zip(pair, got[name], strict=True):
                assert torch.allclose(matrix, other, atol=2e-5)
