"""LoRA cells that a run trains together: the adapters, records and faults of cells that run alone."""

from __future__ import annotations

import time
from dataclasses import replace

import cramped
import pytest
import tiny
import torch
from running import Then, run
from safetensors.torch import load_file

from cloakbench.attacks.mimicry import packed
from cloakbench.cells import packs
from cloakbench.runs import session as sessions
from cloakbench.schemas.kinds import Status

pytestmark = pytest.mark.usefixtures("stand_ins")
LORA = """
[[attacks]]
name = "lora"
mimicry = "lora"
model = "mini-a"

[[attacks]]
name = "noise-lora"
countermeasure = "noise"
mimicry = "lora"
model = "mini-a"

[mimicry.lora]
rank = 2
alpha = 4.0
steps = 3
batch = 2
learning_rate = 1e-2
"""


class Fails(tiny.Brighter):
    """A submission that fails."""

    def protect(self, images, request):
        raise RuntimeError("the plan is missing")


def planned(folder, entries=()):
    folder.mkdir(exist_ok=True)
    (folder / "tiny.toml").write_text(f"{tiny.TEXT}{LORA}")
    entries = entries or [tiny.entry("good"), tiny.entry("darker", tiny.Darker())]
    session = tiny.session(folder / "tiny.toml", folder / "store", entries)
    cells = [cell for cell in session.cells if cell.attack.mimicry == "lora"]
    return replace(session, cells=cells)


@pytest.fixture
def trained(monkeypatch):
    """Packs of up to four cells on the CPU; returns how many cells each training had."""
    sizes, train = [], packed.train

    def counted(model, attack, cells, is_compiled=False):
        sizes.append(len(cells))
        return train(model, attack, cells, is_compiled)

    monkeypatch.setitem(packs.LARGEST, "cpu", 4)
    monkeypatch.setattr(packed, "train", counted)
    return sizes


def adapters(session):
    """The adapters of all cells, by protection and attack."""
    learned = {}
    for cell in session.cells:
        if "personalise" in cell.keys:
            path = session.store.adapter_path(cell.keys["personalise"], session.environment.env_class)
            if path.exists():
                learned[cell.entry.facts.name, cell.attack.name] = load_file(path)
    return learned


def assert_same(ours, expected):
    assert ours.keys() == expected.keys()
    for cell, weights in expected.items():
        for name, matrix in weights.items():
            assert torch.allclose(ours[cell][name], matrix, atol=1e-4), (cell, name)


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """The same cells, each trained alone."""
    with monkeypatch.context() as patch:
        patch.setitem(packs.LARGEST, "cpu", 1)
        session = planned(tmp_path / "alone")
        run(session)
    return session


def test_cells_are_trained_alone_on_a_cpu_unless_asked_otherwise():
    assert packs.largest(torch.device("cpu")) == 1
    assert packs.largest(torch.device("cuda", 1)) > 1


def test_packed_cells_have_the_keys_the_adapters_and_the_values_of_cells_alone(alone, trained, tmp_path):
    session = planned(tmp_path / "packed")
    records = {record.key: record for record in run(session)}
    assert sum(trained) == len(adapters(session)) > 4
    assert max(trained) == 4
    assert_same(adapters(session), adapters(alone))
    for cell in alone.cells:
        expected, record = alone.finished(cell), records[cell.key]
        assert (record.status, record.components) == (Status.OK, expected.components)
        for metric, values in expected.generations.items():
            assert record.generations[metric] == pytest.approx(values, rel=1e-2, abs=1e-2)


def test_the_cost_of_a_pack_is_shared_by_its_cells(trained, tmp_path, monkeypatch):
    counted = packed.train

    def slow(*arguments):
        time.sleep(8)
        return counted(*arguments)

    monkeypatch.setattr(packed, "train", lambda model, attack, cells, is_compiled: slow(model, attack, cells))
    records = run(planned(tmp_path / "packed"))
    costs = []
    for record in records:
        if "personalise" in record.cost:
            costs.append(record.cost["personalise"].wall_s)
    for seconds in costs[:4]:
        assert 2 < seconds < 8


def test_an_interrupted_pack_loses_no_finished_cell(alone, trained, tmp_path):
    session = planned(tmp_path / "packed")

    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sessions.run(session, report=Then(interrupt))
    assert len(session.cells) - len(session.missing()) == 1
    run(session)
    assert session.missing() == []
    assert_same(adapters(session), adapters(alone))


def test_an_interruption_in_the_training_of_a_pack_keeps_what_is_finished(trained, tmp_path, monkeypatch):
    session = planned(tmp_path / "packed")
    counted = packed.train

    def interrupted(*arguments, **named):
        if trained:
            raise KeyboardInterrupt
        return counted(*arguments, **named)

    monkeypatch.setattr(packed, "train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(session)
    assert len(session.cells) - len(session.missing()) >= 4
    monkeypatch.setattr(packed, "train", counted)
    run(session)
    assert session.missing() == []


def test_a_cell_that_fails_harms_no_other_of_its_pack(alone, trained, tmp_path):
    more = [tiny.entry("good"), tiny.entry("broken", Fails()), tiny.entry("darker", tiny.Darker())]
    session = planned(tmp_path / "packed", more)
    statuses = {}
    for record in run(session):
        statuses.setdefault(record.protection.name, set()).add(record.status)
    assert statuses.pop("broken") == {Status.FAILED}
    assert set.union(*statuses.values()) == {Status.OK}
    assert_same(adapters(session), adapters(alone))


def test_a_training_that_fails_for_one_cell_goes_on_for_the_others(alone, trained, tmp_path, monkeypatch, caplog):
    session = planned(tmp_path / "packed")
    draw, bad = packed.posterior, []

    def failing(model, images):
        if bad and torch.equal(images, bad[0]):
            raise ValueError("a bad image")
        if not bad:
            bad.append(images.clone())
            raise ValueError("a bad image")
        return draw(model, images)

    monkeypatch.setattr(packed, "posterior", failing)
    records = run(session)
    assert {record.status for record in records} == {Status.OK}  # alone its training does not fail
    assert "in halves" in caplog.text
    assert_same(adapters(session), adapters(alone))


def test_a_pack_that_runs_out_of_memory_is_halved(alone, trained, tmp_path):
    session = planned(tmp_path / "packed")
    with cramped.room(unet=4) as refused:  # two cells of a batch of two
        records = run(session)
    assert refused[0] == 8
    assert trained[:3] == [4, 2, 2]
    assert set(trained[1:]) == {2}
    assert {record.status for record in records} == {Status.OK}
    assert_same(adapters(session), adapters(alone))
