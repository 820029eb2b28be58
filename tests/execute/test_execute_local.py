"""Several processes: the same records as one, and nothing lost when one is killed."""

from __future__ import annotations

import multiprocessing
import os
import pickle

import faking
import psutil
import pytest

from cloakbench.cells.pipeline import Pipeline
from cloakbench.errors import InfrastructureError
from cloakbench.execute import local
from cloakbench.execute.job import IncompatibleWorker
from cloakbench.execute.local import LocalExecutor
from cloakbench.execute.local_worker import serve
from cloakbench.runs import session as sessions
from cloakbench.runs.choice import Choice
from cloakbench.runs.planned_job import PlannedJob
from cloakbench.system import cpu
from tests import tiny
from tests.running import Then, told


def spawned():
    return [p for p in psutil.Process().children() if "spawn_main" in " ".join(p.cmdline())]


@pytest.fixture
def forked(monkeypatch):
    """Processes of a run begin as forks of this one, without the seconds of importing; spawned ones are shown below."""
    monkeypatch.setattr(local, "_CONTEXT", multiprocessing.get_context("fork"))
    monkeypatch.setattr(local, "serve", serve_in_fork)


def serve_in_fork(line, job, root):
    """Serves without the files of this process: a fork that held the lines of the others would keep these open."""
    os.closerange(3, line.fileno())
    os.closerange(line.fileno() + 1, 4096)
    serve(line, job, root)


def received(planned):
    """The job of a run as a spawned process would get it."""
    return pickle.loads(pickle.dumps(PlannedJob.of(planned)))


@pytest.mark.usefixtures("forked")
def test_two_processes_leave_the_records_of_one_even_when_one_is_killed(alone, planned):
    killed = []

    def kill():
        [first, *_] = multiprocessing.active_children()
        killed.append(first.pid)
        first.kill()

    report = Then(kill)
    outcomes = sessions.run(planned, LocalExecutor(received(planned), planned.store.root, 2), report)
    assert killed
    assert [outcome.key for outcome in outcomes] == [cell.key for cell in planned.cells]
    assert sorted(report.finished) == sorted(cell.key for cell in planned.cells)
    assert told(planned.store) == told(alone.store)
    assert planned.missing() == []


def only_in_others(function, pid):
    """Returns a function that does the same in every process but one, where it fails."""

    def checked(*arguments):
        assert os.getpid() != pid, "nothing is sought here"
        return function(*arguments)

    return checked


@pytest.mark.usefixtures("stand_ins", "forked")
def test_a_process_of_its_own_finds_the_strengths_that_this_one_would(tmp_path, monkeypatch):
    (tmp_path / "tiny.toml").write_text(tiny.TEXT + tiny.MATCHING)
    choice = Choice(str(tmp_path / "tiny.toml"), ["random-noise"], only=["protection=random-noise"])
    alone, planned = (sessions.plan(choice, tmp_path / name) for name in ("alone", "planned"))
    sessions.run(alone, report=Then())

    monkeypatch.setattr(Pipeline, "calibrate", only_in_others(Pipeline.calibrate, os.getpid()))
    report = Then()
    sessions.run(planned, LocalExecutor(received(planned), planned.store.root, 1), report)
    assert report.said == ["calibrating random-noise to target 8"]
    assert told(planned.store) == told(alone.store)
    assert any(record["target"] == 8 and record["calibration"] for record in told(planned.store).values())


CELLS = faking.named(tiny.planner().cells([tiny.entry("one"), tiny.FLOOR_ENTRY], [tiny.artist("a")]))


def run(fault, root, report=None, devices=(), work=None):
    return LocalExecutor(faking.Job(fault), root, 2, devices).run(CELLS, work or faking.Work(), report or Then())


def test_every_cell_has_its_outcome_in_the_order_of_the_plan(tmp_path):
    assert [outcome.key for outcome in run("", tmp_path)] == [cell.key for cell in CELLS]
    assert spawned() == []


def test_no_cell_is_given_out_when_the_time_is_over_and_those_under_way_end(tmp_path):
    report = Then()
    executor = LocalExecutor(faking.Job(), tmp_path, 2)
    outcomes = executor.run(CELLS, faking.Work(), report, may_start=lambda: not report.finished)
    assert 1 <= len(outcomes) <= 2 < len(CELLS)
    assert sorted(outcome.key for outcome in outcomes) == sorted(report.finished)
    assert spawned() == []


def test_a_cell_that_takes_its_processes_down_is_given_up_and_the_others_end(tmp_path):
    report, work = Then(), faking.Work()
    outcomes = run("dies of floor", tmp_path, report, work=work)
    [floor] = [cell for cell in CELLS if cell.entry.facts.name == "floor"]
    assert list(work.given_up) == [floor.key]
    assert [(o.key, str(o.status)) for o in outcomes] == [
        (cell.key, "infra_error" if cell is floor else "ok") for cell in CELLS
    ]
    assert work.given_up[floor.key].startswith("2 processes died of it (exit code 9)")
    assert sorted(report.finished) == sorted(cell.key for cell in CELLS)


FAULTS = [
    ("dies", r"got 2 processes that died of it \(exit code 9\)"),
    ("never begins", r"got 3 that died before any cell \(exit code 7\)"),
    ("full", "no space is left"),
]


@pytest.mark.parametrize(("fault", "said"), FAULTS, ids=[fault for fault, _ in FAULTS])
def test_what_goes_wrong_in_processes_ends_the_run_and_is_said_here(tmp_path, fault, said):
    with pytest.raises(InfrastructureError, match=said):
        run(fault, tmp_path)
    assert spawned() == []


def test_without_a_fit_process_the_run_ends_with_the_reason(tmp_path):
    report = Then()
    with pytest.raises(IncompatibleWorker, match="got threads 2 on node-7"):
        run("unfit", tmp_path, report)
    assert report.said == ["a worker is left out: expected threads 1, got threads 2 on node-7"]


def test_each_process_sees_the_device_that_it_is_lent(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    report = Then()
    with pytest.raises(IncompatibleWorker, match="sees") as last:
        run("blind", tmp_path, report, ["4", "7"])
    assert {*report.said, f"a worker is left out: {last.value.message}"} == {
        "a worker is left out: sees 4",
        "a worker is left out: sees 7",
    }
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "4,7"


def test_a_process_computes_with_the_instruction_set_of_this_one(tmp_path, monkeypatch):
    monkeypatch.setattr(cpu, "capability", lambda: "DEFAULT")
    with pytest.raises(IncompatibleWorker, match="computes with DEFAULT"):
        LocalExecutor(faking.Job("computes"), tmp_path, 1).run(CELLS, faking.Work(), Then())
