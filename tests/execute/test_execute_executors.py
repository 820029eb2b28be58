"""Who runs the cells by what was asked for, and what a process checks before it runs any."""

from __future__ import annotations

import os
import sys
from dataclasses import replace

import pytest
import torch

from cloakbench.errors import InfrastructureError, UserError
from cloakbench.execute.inline import InlineExecutor
from cloakbench.execute.job import IncompatibleWorker, Task
from cloakbench.execute.local import LocalExecutor
from cloakbench.runs.executors import ExecutorOptions, choose
from cloakbench.runs.planned_job import PlannedCellRunner, PlannedJob

CONTRADICTIONS = [
    ({"workers": 0}, "expected --workers of 1 or more, got 0"),
    ({"kind": "inline", "workers": 2}, "expected one worker inline, got 2"),
    ({"address": "10.0.0.1:6379"}, "expected --executor ray with --address"),
    ({"kind": "local", "address": "10.0.0.1:6379"}, "expected --executor ray with --address, got local"),
]


@pytest.mark.parametrize(("asked", "said"), CONTRADICTIONS, ids=[said for _, said in CONTRADICTIONS])
def test_what_contradicts_itself_is_refused(asked, said):
    with pytest.raises(UserError, match=said):
        ExecutorOptions(**asked)


def test_one_worker_runs_inline_and_several_in_processes(planned):
    assert isinstance(choose(ExecutorOptions(), planned), InlineExecutor)
    assert isinstance(choose(ExecutorOptions(workers=1), planned), InlineExecutor)
    assert isinstance(choose(ExecutorOptions("inline"), planned), InlineExecutor)
    chosen = choose(ExecutorOptions(workers=3), planned)
    assert isinstance(chosen, LocalExecutor)
    assert (chosen.count, chosen.devices, chosen.root) == (3, [], planned.store.root)
    assert choose(ExecutorOptions("local", 1), planned).count == 1


def test_local_workers_fill_the_cores_that_this_process_may_use(planned, monkeypatch):
    """In a container, or under taskset, the machine has more."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    on_three_threads = replace(planned, environment=planned.environment.model_copy(update={"threads": 3}))
    assert choose(ExecutorOptions("local"), on_three_threads).count == 2


def test_several_gpus_get_a_process_each(planned, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda n: ["H200", "T4", "H200"][n])
    chosen = choose(ExecutorOptions(), replace(planned, device="cuda"))
    assert isinstance(chosen, LocalExecutor)
    assert (chosen.count, chosen.devices) == (2, ["0", "2"])


def test_without_ray_it_says_how_to_install_it(planned, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install 'cloakbench\[ray\]'"):
        choose(ExecutorOptions("ray"), planned)


def test_a_process_of_another_kind_is_refused_with_the_difference(planned, tmp_path):
    job = PlannedJob.of(planned)
    packages = {**job.environment.packages, "torch": "1.0"}
    other = job.environment.model_copy(update={"env_class": "other", "device": "cpu other", "packages": packages})
    with pytest.raises(IncompatibleWorker, match=r"expected device cpu other, torch 1.0, got device cpu .*, torch 2"):
        replace(job, environment=other).open(tmp_path)
    with pytest.raises(IncompatibleWorker, match="expected the weights that the plan was made with, got others"):
        replace(job, planner=replace(job.planner, digests=replace(job.planner.digests, judge="0" * 64))).open(tmp_path)


def test_an_official_run_needs_the_same_code_everywhere(planned, tmp_path):
    job = PlannedJob.of(planned)
    other = job.environment.model_copy(update={"commit": "f" * 40})
    salted = replace(job, planner=replace(job.planner, salt="secret" * 4), environment=other)
    with pytest.raises(IncompatibleWorker, match="expected commit ffffffffffff, got "):
        salted.open(tmp_path)
    assert isinstance(replace(job, environment=other).open(tmp_path), PlannedCellRunner)


def test_a_process_with_another_submission_or_plan_runs_nothing(planned, tmp_path):
    runner = PlannedJob.of(planned).open(tmp_path / "runner")
    [cell, *_] = [c for c in planned.cells if c.entry.facts.name == "placebo"]
    task = Task.of(cell)
    newer = task.protection.model_copy(update={"version": "99"})
    with pytest.raises(InfrastructureError, match="expected cloakbench-controls 99 as planned, got "):
        runner.run(replace(task, protection=newer), cell.artist)
    absent = task.protection.model_copy(update={"name": "not-installed"})
    with pytest.raises(InfrastructureError, match="got 'not-installed'"):
        runner.run(replace(task, protection=absent), cell.artist)
    with pytest.raises(InfrastructureError, match="Install the same cloakbench"):
        runner.run(replace(task, key="0" * 64), cell.artist)
    assert not (tmp_path / "runner").exists()


def test_an_actor_settles_what_it_computes_with_before_torch_is_there(python):
    said = python(
        "import sys\n"
        "from cloakbench.execute.ray_worker import Actor\n"
        "actor = Actor({'ATEN_CPU_CAPABILITY': 'default'})\n"
        "actor.close()\n"
        "assert 'torch' not in sys.modules\n"
        "import torch\n"
        "print(torch.backends.cpu.get_cpu_capability())\n"
    )
    assert said == "DEFAULT\n"
