"""Which cell runs next, without any process."""

from __future__ import annotations

import tomllib
from collections import Counter
from dataclasses import replace

import pytest

from cloakbench.errors import InfrastructureError
from cloakbench.execute.bundle import shared
from cloakbench.execute.leases import Leases, names
from cloakbench.execute.progress import Outcome
from cloakbench.execute.ray import Needs
from cloakbench.execute.schedule import CellQueue
from cloakbench.schemas.kinds import Status
from tests import tiny


def cells(**changes):
    suite = {"attacks": [dict(attack) for attack in tiny.suite().model_dump()["attacks"]], **changes}
    planner = replace(tiny.planner(**suite), calibration=[tiny.artist("swirl", 2)])
    return planner.cells([tiny.entry("one"), tiny.entry("two"), tiny.FLOOR_ENTRY], [tiny.artist("a"), tiny.artist("b")])


def ended(cell, status=Status.OK):
    return Outcome(cell.key, status)


def test_every_cell_runs_once_in_order_and_no_image_is_made_twice_at_once():
    plan = cells()
    schedule, running, makers, order = CellQueue(plan), [], Counter(), []
    while not schedule.is_done:
        while len(running) < 3 and (cell := schedule.take()):
            running.append(cell)
            order.append(cell.key)
            new = [key for key in shared(cell) if not makers[key]]
            makers.update(new)
            others = []
            for other in running[:-1]:
                others += shared(other)
            assert not set(new) & set(others)
        schedule.finish(running[0], ended(running.pop(0)))
    assert sorted(order) == sorted(cell.key for cell in plan)
    assert [outcome.key for outcome in schedule.outcomes()] == [cell.key for cell in plan]


def test_what_is_made_may_be_used_by_several_at_once():
    plan = [cell for cell in cells() if cell.entry.facts.name == "one" and cell.artist.name == "a"]
    assert len({cell.keys["protect"] for cell in plan}) == 1
    schedule = CellQueue(plan)
    first = schedule.take()
    assert schedule.take() is None
    schedule.finish(first, ended(first))
    assert schedule.take() is plan[1]


def test_a_strength_is_sought_by_one_cell_while_those_of_others_are_by_theirs():
    plan = []
    for cell in cells(matching=tomllib.loads(tiny.MATCHING)["matching"]):
        if cell.target:
            plan.append(cell)
    schedule = CellQueue(plan)
    first, second = schedule.take(), schedule.take()
    assert {cell.entry.facts.name for cell in (first, second)} == {"one", "two"}
    assert schedule.take() is None
    schedule.finish(first, ended(first))
    third = schedule.take()
    assert third.entry is first.entry
    assert third.keys["calibrate"] == first.keys["calibrate"] != second.keys["calibrate"]


def test_images_of_a_cell_that_failed_are_not_taken_for_made():
    plan = [cell for cell in cells() if cell.entry.facts.name == "one" and cell.artist.name == "a"]
    schedule = CellQueue([*plan, *(cell for cell in cells() if cell.entry.facts.name == "two")])
    first = schedule.take()
    schedule.finish(first, ended(first, Status.FAILED))
    second = schedule.take()
    assert second is plan[1]
    assert schedule.take().entry.facts.name == "two"


def given_up(schedule):
    cell = schedule.take()
    assert schedule.died(cell, "exit code 9") == ""
    assert schedule.take() is cell
    return cell, schedule.died(cell, "exit code 9")


def test_a_cell_that_was_lost_runs_again_first_and_is_given_up_the_second_time():
    cell, why = given_up(schedule := CellQueue(cells()))
    assert why.startswith("2 processes died of it (exit code 9)")
    schedule.finish(cell, ended(cell, Status.INFRA_ERROR))
    assert schedule.take() is not cell


def test_cells_given_up_one_after_the_other_end_the_run_others_between_them_do_not():
    schedule = CellQueue(cells())
    for round_ in range(2):
        for _ in range(2):
            cell, _ = given_up(schedule)
            schedule.finish(cell, ended(cell, Status.INFRA_ERROR))
        if round_ == 0:
            good = schedule.take()
            schedule.finish(good, ended(good))
    with pytest.raises(InfrastructureError, match=r"got 2 processes that died of it \(exit code 9\), as of the 2"):
        given_up(schedule)


def test_a_lost_machine_is_not_held_against_its_cells():
    schedule = CellQueue(cells())
    first = schedule.take()
    for _ in range(5):
        schedule.put_back(first)
        assert schedule.take() is first
    schedule.finish(first, ended(first))
    assert schedule.take() is not first


def test_processes_may_die_before_any_cell_but_not_one_after_the_other():
    schedule = CellQueue(cells())
    for _ in range(3):
        schedule.died_idle("killed")
        schedule.died_idle("killed")
        cell = schedule.take()
        schedule.finish(cell, ended(cell))
    schedule.died_idle("killed")
    schedule.died_idle("killed")
    with pytest.raises(InfrastructureError, match="got 3 that died before any cell"):
        schedule.died_idle("killed")


def test_devices_are_lent_evenly_and_come_back():
    leases = Leases(["0", "1", "2"])
    assert [leases.take() for _ in range(7)] == ["0", "1", "2", "0", "1", "2", "0"]
    leases.give_back("2")
    leases.give_back("2")
    assert [leases.take() for _ in range(3)] == ["2", "2", "1"]
    assert Leases().take() is None
    Leases().give_back(None)


def test_one_run_keeps_to_devices_of_one_kind():
    assert names(["H200", "T4", "H200"], {}) == ["0", "2"]
    assert names(["H200", "T4"], {"CUDA_VISIBLE_DEVICES": " 3, GPU-ab "}) == ["3"]
    assert names([], {}) == []


def test_workers_are_as_many_as_fit():
    cpu, gpu = Needs(2, 0, 4), Needs(1, 1, 8)
    assert cpu.fitting({"CPU": 9, "memory": 100, "GPU": 3}) == 4
    assert cpu.fitting({"CPU": 9, "memory": 9}) == 2
    assert gpu.fitting({"CPU": 9, "memory": 100, "GPU": 3}) == 3
    assert gpu.fitting({"CPU": 9, "memory": 100}) == 0
