"""Ray: the store of an inline run, whatever becomes of workers and nodes. All on this machine, on its loopback.

Each node and each actor is a process or several that import Ray, so there are as few as a test needs.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import replace
from pathlib import Path

import faking
import psutil
import pytest

from cloakbench.errors import InfrastructureError, UserError
from cloakbench.execute import schedule
from cloakbench.execute.job import IncompatibleWorker
from cloakbench.execute.ray import RayExecutor
from cloakbench.image_files import decode
from cloakbench.images import digest
from cloakbench.runs import session as sessions
from cloakbench.runs.choice import Choice
from cloakbench.runs.planned_job import PlannedJob
from cloakbench.schemas.kinds import Status
from cloakbench.system import cpu
from tests import roots, tiny
from tests.running import Then, run, told
from tests.waiting import PATIENCE_S, wait_until

ray = pytest.importorskip("ray", reason="the extra [ray] is not installed")

HERE = Path(__file__).parent
SMALL = {"num_cpus": 1, "object_store_memory": 100 << 20, "memory": 4 << 30}
ALONE = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",  # else Ray writes a token into the home folder
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # the name says little: nodes listen on the loopback only
    "RAY_worker_niceness": "0",  # at 15, Ray's default, actors hardly run beside other tests
    # A node is lost after three seconds without an answer, not fifteen; a slow one has ten seconds for each answer.
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
    "PYTHONPATH": os.pathsep.join([str(HERE), roots.PYTHONPATH]),
}


@pytest.fixture(scope="module", autouse=True)
def surroundings(weights):
    """A folder with a short path for Ray's sockets, and an environment that keeps it to itself."""
    root = Path(tempfile.mkdtemp(prefix="ray-"))
    (root / "ray").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**ALONE, "RAY_TMPDIR": str(root), "CLOAKBENCH_MODELS": str(weights)}.items():
            patch.setenv(name, value)
        yield root
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="module")
def cluster(surroundings):
    """A head and a second node, with room for one worker each."""
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={**SMALL, "include_dashboard": False})
    nodes.add_node(**SMALL)
    yield nodes
    nodes.shutdown()


def is_worker(process):
    with contextlib.suppress(psutil.Error):
        return (process.cmdline() or [""])[0].startswith("ray::Actor")
    return False


def workers():
    """The processes of actors that this one, or a node that it has started, is responsible for."""
    return [process for process in psutil.Process().children(recursive=True) if is_worker(process)]


def left(cluster):
    """The actors that are alive."""
    return [actor for actor in cluster.global_state.actor_table(None).values() if actor["State"] != "DEAD"]


def wait_until_none_is_left(cluster):
    wait_until(lambda: not left(cluster), "the end of every actor", pause_s=0.2)


def files(store):
    """What a store holds beside its records; images as their pixels, the rest by name."""
    names = sorted(path for path in store.root.rglob("*") if path.is_file())
    return {
        path.relative_to(store.root).as_posix(): digest(decode(path.read_bytes())) if path.suffix == ".png" else ""
        for path in names
    }


CELLS = faking.named(tiny.planner().cells([tiny.entry("one"), tiny.entry("two"), tiny.FLOOR_ENTRY], [tiny.artist("a")]))


def test_cells_end_in_the_order_of_the_plan_and_no_actor_is_left(cluster, tmp_path):
    outcomes = RayExecutor(faking.Job(), tmp_path, 2, cluster.address).run(CELLS, faking.Work(), Then())
    assert [outcome.key for outcome in outcomes] == [cell.key for cell in CELLS]
    assert not ray.is_initialized()
    wait_until_none_is_left(cluster)


FAULTS = [
    ("dies", InfrastructureError, "got 2 processes that died of it"),
    ("full", InfrastructureError, "no space is left"),
    ("unfit", IncompatibleWorker, "got threads 2 on node-7"),
]


@pytest.mark.parametrize(("fault", "kind", "said"), FAULTS, ids=[fault for fault, _, _ in FAULTS])
def test_what_goes_wrong_in_actors_ends_the_run_and_is_said_here(cluster, tmp_path, monkeypatch, fault, kind, said):
    """That it takes several cells in a row is shown by processes, which start faster than actors."""
    monkeypatch.setattr(schedule, "LOST", 1)
    with pytest.raises(kind, match=said):
        RayExecutor(faking.Job(fault), tmp_path, 1, cluster.address).run(CELLS, faking.Work(), Then())
    wait_until_none_is_left(cluster)


def test_an_actor_computes_with_the_instruction_set_of_this_process(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(cpu, "capability", lambda: "DEFAULT")
    with pytest.raises(IncompatibleWorker, match="computes with DEFAULT"):
        RayExecutor(faking.Job("computes"), tmp_path, 1, cluster.address).run(CELLS, faking.Work(), Then())


def test_a_cluster_without_room_is_said(cluster, tmp_path):
    greedy = faking.Job(environment=faking.HERE.model_copy(update={"threads": 64}))
    with pytest.raises(UserError, match="room for a worker"):
        RayExecutor(greedy, tmp_path, None, cluster.address).run(CELLS, faking.Work(), Then())


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "127.0.0.1:123456"])
def test_an_address_where_no_cluster_is_is_said_at_once(tmp_path, address):
    with pytest.raises(UserError, match=f"expected a Ray cluster at {address}, got "):
        RayExecutor(faking.Job(), tmp_path, 1, address).run(CELLS, faking.Work(), Then())


INTERRUPTED = """
import pickle
import sys
from pathlib import Path

import faking
from cloakbench.execute.ray import RayExecutor

cells = pickle.loads(Path(sys.argv[1], "cells").read_bytes())
RayExecutor(faking.Job("hangs"), Path(sys.argv[1]), 2, sys.argv[2]).run(cells, faking.Work(), faking.PrintsEnds())
"""
"""Imports neither diffusers nor transformers, which the test's own process has imported to make the cells."""


def test_ctrl_c_leaves_no_actor(cluster, tmp_path):
    bare = [replace(tiny.entry(name), instance=None) for name in ("one", "two")]
    (tmp_path / "cells").write_bytes(pickle.dumps(faking.named(tiny.planner().cells(bare, [tiny.artist("a")]))))
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(tmp_path), cluster.address],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # What runs the tests in the background may ignore SIGINT, which children inherit.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        env={**os.environ, "PYTHONPATH": os.pathsep.join([ALONE["PYTHONPATH"], str(HERE.parent)])},
    )
    assert process.stdout.readline() == "ended\n", process.communicate()[1]
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in err
    wait_until_none_is_left(cluster)
    wait_until(lambda: not workers(), "the end of every worker")


def test_a_ray_of_its_own_leaves_the_store_of_one_process_even_when_a_worker_is_killed(alone, planned, cloakbench):
    killed = []

    def kill():
        wait_until(lambda: list(planned.store.records()) and workers(), "a record and a worker", pause_s=0.05)
        first = workers()[0]
        killed.append(first.pid)
        first.kill()

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    suite, root = planned.store.root.parent / "tiny.toml", planned.store.root
    asked = ["run", suite, "--protection", "random-noise", "--store", root, "--executor", "ray", "--workers", 2]
    done = cloakbench(*asked)
    assert done.code == 0, done.err
    assert killed
    assert f"[{len(planned.cells)}/{len(planned.cells)}] ok" in done.err
    assert told(planned.store) == told(alone.store)
    assert files(planned.store) == files(alone.store)
    assert not ray.is_initialized()


class AtEveryEnd(Then):
    """Does something after each cell."""

    def finish(self, cell, outcome):
        super().finish(cell, outcome)
        if len(self.finished) > 1:
            self.then()


def titles(node):
    """What the actors on a node do now, as Ray writes it into the titles of their processes."""
    raylet = node.all_processes["raylet"][0].process.pid
    actors = [process for process in psutil.Process(raylet).children() if is_worker(process)]
    return {process.cmdline()[0] for process in actors}


def is_open(node):
    return titles(node) and "ray::Actor.open" not in titles(node)


def losing_a_node(cluster):
    """Returns a report that takes a whole machine on which a cell runs, as a failing one would go, and a list of it."""
    node = next(iter(cluster.worker_nodes), None) or cluster.add_node(**SMALL)
    killed = []

    def kill():
        wait_until(lambda: killed or is_open(node), "an actor that is open", pause_s=0.05)
        if not killed and "ray::Actor.run" in titles(node):
            killed.append(node)
            cluster.remove_node(node, allow_graceful=False)

    return AtEveryEnd(kill), killed


def test_a_lost_node_costs_only_the_cells_that_ran_there(cluster, tmp_path):
    report, killed = losing_a_node(cluster)
    outcomes = RayExecutor(faking.Job("pauses"), tmp_path, 2, cluster.address).run(CELLS, faking.Work(), report)
    assert killed
    assert [(outcome.key, outcome.status) for outcome in outcomes] == [(cell.key, Status.OK) for cell in CELLS]
    assert sorted(report.finished) == sorted(cell.key for cell in CELLS)
    wait_until_none_is_left(cluster)


@pytest.mark.long
def test_after_a_lost_node_the_store_is_that_of_one_process(cluster, alone, planned):
    report, killed = losing_a_node(cluster)
    executor = RayExecutor(PlannedJob.of(planned), planned.store.root, 2, cluster.address)
    outcomes = sessions.run(planned, executor, report)
    assert killed
    assert [outcome.key for outcome in outcomes] == [cell.key for cell in planned.cells]
    assert told(planned.store) == told(alone.store)
    assert files(planned.store) == files(alone.store)
    wait_until_none_is_left(cluster)


@pytest.mark.long
def test_a_part_of_the_suite_mini_quick_is_the_same_on_ray(tmp_path, monkeypatch):
    monkeypatch.delenv("CLOAKBENCH_MODELS")
    choice = Choice("mini-quick", ["placebo"], limit=2)
    here, there = sessions.plan(choice, tmp_path / "here"), sessions.plan(choice, tmp_path / "there")
    run(here)
    sessions.run(there, RayExecutor(PlannedJob.of(there), there.store.root, 2), Then())
    assert len(told(here.store)) == 2
    assert told(there.store) == told(here.store)
    assert files(there.store) == files(here.store)
