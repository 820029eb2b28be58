from __future__ import annotations

import os
import platform
import subprocess
import sys
from functools import cache

import pytest
import torch  # noqa: F401 - as where it is imported first: the choice then is what it computes with

from cloakbench.submissions.sandbox import bubblewrap
from cloakbench.system import cpu
from tests import roots


@pytest.fixture
def x86(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.delitem(sys.modules, "torch")


def processor(tmp_path, flags):
    path = tmp_path / "cpuinfo"
    path.write_text(f"processor : 0\nmodel name : avx512f in a name\nflags : fpu {flags}\n")
    return path


def test_wide_processors_are_held_to_avx2(tmp_path, x86):
    environment = {}
    cpu.settle(environment, processor(tmp_path, "avx2 avx512f"))
    assert environment == cpu.VARIABLES


@pytest.mark.parametrize("flags", ["avx2", "sse2"])
def test_others_are_left_alone(tmp_path, x86, flags):
    environment = {}
    cpu.settle(environment, processor(tmp_path, flags))
    assert environment == {}


def test_after_torch_nothing_is_changed(tmp_path, monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    environment = {}
    cpu.settle(environment, processor(tmp_path, "avx2 avx512f"))
    assert environment == {}


def test_what_the_user_has_set_stays(tmp_path, x86):
    environment = {"ATEN_CPU_CAPABILITY": "default"}
    cpu.settle(environment, processor(tmp_path, "avx512f"))
    assert environment == {"ATEN_CPU_CAPABILITY": "default"}


def test_other_architectures_and_systems_are_left_alone(tmp_path, monkeypatch):
    environment = {}
    monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    cpu.settle(environment, processor(tmp_path, "avx512f"))
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    cpu.settle(environment, tmp_path / "absent")
    assert environment == {}


ASKED = [None, "avx2", "avx512", "default"]


def can(capability):
    flags = cpu._FLAGS.get(capability or "", set())
    return platform.machine() == "x86_64" and flags <= cpu._flags(cpu._PROCESSOR)


def started(code, capability, weights):
    """Runs lines in a fresh interpreter for which the user has set the instruction set, or nothing."""
    environment = {name: value for name, value in os.environ.items() if name not in cpu.VARIABLES}
    chosen = {} if capability is None else {"ATEN_CPU_CAPABILITY": capability}
    places = {"CLOAKBENCH_MODELS": str(weights), "PYTHONPATH": roots.PYTHONPATH, "RAY_USAGE_STATS_ENABLED": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**environment, **chosen, **places}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


COMPUTES = "import torch; print(torch.backends.cpu.get_cpu_capability())"
PLANNED = (
    "import torch, os; computes = torch.backends.cpu.get_cpu_capability()\n"
    "from cloakbench.system import cpu\n"
    "os.environ['ATEN_CPU_CAPABILITY'] = 'default'\n"
    "print(computes, '&'.join(f'{name}={value}' for name, value in cpu.for_workers().items()))"
)


@cache
def computed(first, capability, weights):
    """What a process computes with that imports `first` first, and what it hands on whatever its variables say."""
    return started(f"import {first}; {PLANNED}", capability, weights)


@pytest.mark.parametrize("capability", ASKED)
def test_torch_computes_with_what_was_asked_for_and_with_avx2_by_default(capability, weights):
    if not can(capability or "avx2"):
        pytest.skip(f"this processor has no {capability or 'avx2'}")
    assert computed("cloakbench", capability, weights)[0] == (capability or "avx2").upper()


@pytest.mark.parametrize("capability", ASKED)
def test_a_process_that_adopts_what_another_computes_with_does_the_same(capability, weights):
    """Though torch came first there where nothing was asked for, and the other one's own variables say another."""
    if not can(capability):
        pytest.skip(f"this processor has no {capability}")
    computes, variables = computed("cloakbench" if capability else "torch", capability, weights)
    adopts = f"from cloakbench.system import cpu; cpu.adopt(dict(v.split('=') for v in {variables!r}.split('&')));"
    own = "avx2" if capability == "default" else "default"
    assert started(f"{adopts} {COMPUTES}", own, weights) == [computes]


def test_an_instruction_set_that_the_processor_lacks_is_not_adopted(tmp_path, monkeypatch):
    for name in cpu.VARIABLES:
        monkeypatch.setenv(name, "of the test")
    cpu.adopt({"ATEN_CPU_CAPABILITY": "avx512"}, processor(tmp_path, "avx2 fma"))
    assert not cpu.VARIABLES.keys() & os.environ
    cpu.adopt({"ATEN_CPU_CAPABILITY": "avx2"}, processor(tmp_path, "avx2 fma"))
    assert os.environ["ATEN_CPU_CAPABILITY"] == "avx2"


RUN = """
import pathlib
import torch
if __name__ == "__main__":
    print(torch.backends.cpu.get_cpu_capability())
    from tests import tiny
    from tests.running import Quiet
    from cloakbench.runs import session as sessions
    from cloakbench.runs.choice import Choice
    from cloakbench.runs.planned_job import PlannedJob
    from cloakbench.execute.local import LocalExecutor
    from cloakbench.execute.ray import RayExecutor

    folder = pathlib.Path({folder!r})
    (folder / "tiny.toml").write_text(tiny.TEXT)
    choice = Choice(str(folder / "tiny.toml"), ["placebo"], only=["protection=placebo"])
    session = sessions.plan(choice, folder / "store")
    executor = {executor}(PlannedJob.of(session), folder / "store", 1)
    outcomes = sessions.run(session, executor, Quiet())
    for outcome in outcomes:
        record = session.store.read_record(outcome.key, session.environment.env_class)
        print(record.status, record.environment.device.split()[-1])
"""


@pytest.mark.long
@pytest.mark.parametrize(
    ("executor", "capability"), [*(("LocalExecutor", name) for name in ASKED), ("RayExecutor", None)]
)
def test_a_run_started_from_python_computes_with_one_instruction_set(executor, capability, weights, tmp_path):
    """Torch is imported first, as in a notebook: without a variable the run is not limited to AVX2.

    A long test, because others show the same sooner: the one above that a process adopts each instruction set, those of
    the executors that their processes get the one of the plan, and `test_jupyter.py` a run that is started so.
    """
    if not can(capability):
        pytest.skip(f"this processor has no {capability}")
    if executor == "RayExecutor":
        pytest.importorskip("ray", reason="the extra [ray] is not installed")
    program = tmp_path / "program.py"
    program.write_text(RUN.format(folder=str(tmp_path), executor=executor))
    code = f"import runpy; runpy.run_path({str(program)!r}, run_name='__main__')"
    planned, *records = started(code, capability, weights)
    assert planned == (capability or planned).upper()
    assert records == ["ok", planned] * 2


def test_a_submissions_process_gets_the_instruction_set_of_the_harness(tmp_path, monkeypatch):
    for name in cpu.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert bubblewrap.environment(tmp_path, "mark").get("ATEN_CPU_CAPABILITY") == cpu._SELECTABLE.get(cpu.capability())
