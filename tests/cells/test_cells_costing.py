"""Kinds of stages: alike where they cost alike, and medians over each of them."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace

import pytest
import tiny

from cloakbench.cells.costing import Costs, steps
from cloakbench.schemas.kinds import Status
from cloakbench.schemas.record import AttackFacts, Environment, Record, StageCost
from cloakbench.store import key

CPU = Environment(
    env_class="0123456789ab", device="cpu x86_64 AVX2", threads=1, packages={}, libjpeg="6", commit="", dirty=False
)
ENTRIES = [tiny.FLOOR_ENTRY, tiny.entry("one"), tiny.entry("two")]


def planned(name="vellmar", count=3, **changes):
    return tiny.planner(**{**tomllib.loads(tiny.WHOLE), **changes}).cells(ENTRIES, [tiny.artist(name, count)])


def cell_of(cells, name="one", attack="dreambooth"):
    return next(c for c in cells if c.entry.facts.name == name and c.attack.name == attack)


def kinds(cell):
    return {step.stage: step.kind for step in steps(cell.recipes)}


def record(cell, where=CPU, cached=(), **seconds):
    """A record whose stages took so many seconds."""
    attack = cell.attack
    return Record(
        key=cell.key,
        suite="tiny",
        suite_version=1,
        protection=cell.entry.facts,
        strength=cell.strength or 0.0,
        artist=cell.artist.name,
        attack=AttackFacts(**attack.model_dump(exclude={"recipe"}), versions={}),
        seed=cell.seed,
        salt_digest="",
        status=Status.OK,
        reason="",
        traceback="",
        components=cell.recipes.content(),
        quality={},
        generations={},
        sets={},
        digests={},
        environment=where,
        cost={
            stage: StageCost(wall_s=s, device_s=s, peak_bytes=2**30, cached=stage in cached)
            for stage, s in seconds.items()
        },
        created="2026-01-01T00:00:00+00:00",
    )


def test_the_stages_of_a_cell_are_its_keys_and_a_clean_edit():
    for cell in planned():
        key_by_stage = {step.stage: step.key for step in steps(cell.recipes)}
        clean = key_by_stage.pop(key.CLEAN_EDIT, None)
        assert key_by_stage == dict(cell.keys)
        assert (clean is not None) == (cell.attack.name == "edit")


def test_a_record_has_the_stages_of_its_cell():
    for cell in planned():
        read = Record.model_validate_json(record(cell).model_dump_json())
        assert steps(read.recipes) == steps(cell.recipes)


def test_the_same_work_for_another_artist_seed_or_strength_is_of_one_kind():
    cells = planned()
    alike = [
        cell_of(planned("kirin")),
        cell_of(planned(strengths=[0.25])),
        replace(cell_of(cells), recipes=cell_of(planned(seeds={"protected": 2, "controls": 1})).recipes),
    ]
    for other in alike:
        assert kinds(other) == kinds(cell_of(cells))


@pytest.mark.parametrize(
    ("other", "changed"),
    [
        (lambda: cell_of(planned(count=4)), {"protect", "personalise", "generate", "measure"}),
        (lambda: cell_of(planned(), "two"), {"protect"}),
        (lambda: cell_of(planned(dtype="bfloat16")), {"protect", "personalise", "generate"}),
        (
            lambda: cell_of(planned(mimicry={**tomllib.loads(tiny.WHOLE)["mimicry"], "dreambooth": RECIPE})),
            {"personalise"},
        ),
    ],
)
def test_other_work_is_of_another_kind(other, changed):
    before, after = kinds(cell_of(planned())), kinds(other())
    assert {stage for stage in before if before[stage] != after[stage]} == changed


RECIPE = {"steps": 3, "batch": 2, "learning_rate": 3e-4}


def test_the_median_counts_what_cells_share_once():
    one, noise, two = (cell_of(planned(), *names) for names in (("one",), ("one", "noise"), ("two",)))
    costs = Costs(CPU.device, CPU.threads)
    cost_records = [
        record(one, protect=10, personalise=1, generate=7),
        record(noise, cached=["protect"], protect=10, personalise=2, generate=8),
        record(two, protect=30, personalise=6, generate=9),
    ]
    assert costs.take(cost_records) == 3
    by_stage = {step.stage: costs.usual(step) for step in steps(one.recipes)}
    assert (by_stage["protect"].runs, by_stage["protect"].wall_s) == (1, 10)
    assert (by_stage["personalise"].runs, by_stage["personalise"].wall_s) == (3, 2)
    assert by_stage["generate"].peak_bytes == 2**30
    assert by_stage["measure"] is None


def test_other_devices_are_counted_and_left_out():
    costs = Costs(CPU.device, CPU.threads)
    others = [CPU.model_copy(update={"device": "GPU X"}), CPU.model_copy(update={"threads": 2})]
    cell = cell_of(planned())
    assert costs.take(record(cell, where, protect=1) for where in others) == 0
    assert costs.others == {"GPU X with 1 thread": 1, "cpu x86_64 AVX2 with 2 threads": 1}
    assert costs.usual(steps(cell.recipes)[0]) is None


def test_records_from_before_energy_and_chunks_are_read():
    old = json.loads(record(cell_of(planned()), protect=1).model_dump_json())
    for cost in old["cost"].values():
        del cost["energy_j"], cost["chunk"]
    read = Record.model_validate_json(json.dumps(old))
    assert read.cost["protect"].energy_j is None
    assert read.cost["protect"].chunk is None
