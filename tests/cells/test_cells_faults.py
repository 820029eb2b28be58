"""Faults of the machine: a store that is read-only, a disk and a shared memory that are full, a clock that goes back,
two processes at once, no home folder, readers that leave."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest
from test_cells_kill import PATIENCE_S, Runs, records

from cloakbench.store import reading
from cloakbench.store.store import Store
from cloakbench.submissions.sandbox import bubblewrap
from cloakbench.upkeep.verify import verify
from tests import tiny

HAS_BUBBLEWRAP = pytest.mark.skipif(bubblewrap.kind() != "bubblewrap", reason="no bubblewrap that works")
VERBS = """
import json, os, sys
from cloakbench.cli import main

codes = {}
for arguments in json.loads(sys.argv[1]):
    try:
        main(arguments)
    except SystemExit as ended:
        codes[arguments[0]] = ended.code
sys.stderr.flush()
print("CODES", json.dumps(codes))
"""
"""Runs several commands in one process, because importing the libraries takes most of the time."""


def run_verbs(commands, *wall, **variables):
    """Returns the exit code by verb, and what was written to standard error."""
    texts = json.dumps([[str(word) for word in command] for command in commands])
    command = [*wall, sys.executable, "-c", VERBS, texts]
    done = subprocess.run(
        command, env={**os.environ, **variables}, capture_output=True, text=True, check=False, timeout=600
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert "CODES" in done.stdout, done.stderr
    return json.loads(done.stdout.rpartition("CODES")[2]), done.stderr


def walled(*options):
    """The whole machine as it is, but for `options`."""
    return ["bwrap", "--dev-bind", "/", "/", *map(str, options), "--"]


@pytest.fixture
def copy(good_run, tmp_path):
    shutil.copytree(good_run.store.root, tmp_path / "store with spaces å 桜")
    return Store(tmp_path / "store with spaces å 桜")


@HAS_BUBBLEWRAP
@pytest.mark.finding("C5")
@pytest.mark.usefixtures("stand_ins")
def test_a_read_only_store_is_read_and_never_written(copy, good_run, tiny_suite, tmp_path):
    before = {path: path.read_bytes() for path in copy.root.rglob("*") if path.is_file()}
    reading_verbs = [
        ["verify", copy.root],
        ["board", "--store", copy.root, "--out", tmp_path / "site", "--unofficial"],
        ["status", tiny_suite, "--store", copy.root, "--protection", "placebo"],
        ["plan", tiny_suite, "--store", copy.root, "--protection", "placebo"],
        ["export", "tiny", "--store", copy.root, "--out", tmp_path / "exported"],
    ]
    writing = [
        ["run", tiny_suite, "--store", copy.root, "--protection", "placebo", "--only", "seed=0"],
        ["merge", good_run.store.root, "--store", copy.root],
        ["adopt", good_run.store.root, "--store", copy.root],
    ]
    codes, errors = run_verbs([*reading_verbs, *writing], *walled("--ro-bind", copy.root, copy.root))
    assert codes == {command[0]: 0 for command in reading_verbs} | {command[0]: 2 for command in writing}
    assert errors.count("writable store") == len(writing)
    assert {path: path.read_bytes() for path in copy.root.rglob("*") if path.is_file()} == before


@HAS_BUBBLEWRAP
def test_a_full_disk_keeps_what_was_there(good_run, tmp_path):
    """A store on a file system of 64 KiB."""
    (tmp_path / "small").mkdir()
    wall = walled("--size", 1 << 16, "--tmpfs", tmp_path / "small")
    commands = [[verb, good_run.store.root, "--store", tmp_path / "small" / "store"] for verb in ("merge", "adopt")]
    codes, errors = run_verbs(commands, *wall)
    assert codes == {"merge": 2, "adopt": 2}
    assert errors.count("no space is left") == 2


@HAS_BUBBLEWRAP
@pytest.mark.usefixtures("stand_ins")
def test_a_run_needs_no_shared_memory(tiny_suite, tmp_path):
    wall = walled("--size", 4096, "--tmpfs", "/dev/shm")
    command = [
        "run",
        tiny_suite,
        "--protection",
        "placebo",
        "--store",
        tmp_path / "store",
        "--executor",
        "local",
        "--workers",
        1,
        "--limit",
        2,
    ]
    codes, _ = run_verbs([command], *wall)
    assert codes == {"run": 0}
    assert verify(tmp_path / "store").problems == []


@pytest.mark.finding("C4")
def test_without_a_home_folder_and_with_a_limit_on_files(copy, tmp_path):
    nowhere = {"HOME": "/nonexistent", "XDG_CACHE_HOME": ""}
    codes, _ = run_verbs([["verify", copy.root], ["list", "suites"], ["doctor", "--store", copy.root]], **nowhere)
    assert (codes["verify"], codes["list"]) == (0, 0)
    codes, errors = run_verbs([["adopt", copy.root, "--store", tmp_path / "target"]], "prlimit", "--fsize=2048")
    assert codes == {"adopt": 2}
    assert "could not write" in errors
    assert list(Store(tmp_path / "target").records()) == []


@pytest.mark.finding("C1")
def test_a_reader_that_leaves_after_the_first_line_is_no_fault():
    script = 'set -o pipefail; "$0" -c "from cloakbench.cli import main; main()" list metrics | head -n 1'
    done = subprocess.run(["/bin/bash", "-c", script, sys.executable], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.finding("C7")
def test_two_processes_take_records_into_one_store_at_once(copy, good_run, forks, tmp_path):
    store = Store(tmp_path / "target")
    children = [forks.start("adopt", copy.root, "--store", store.root) for _ in range(3)]
    errors = [process.communicate()[1] for process in children]
    assert [process.returncode for process in children] == [0, 0, 0], errors
    assert len(list(store.records())) == len(good_run.cells)
    assert verify(store.root).problems == []


@pytest.fixture
def runs(weights, forks, tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(tiny.TEXT)
    return Runs(path, weights, forks)


def test_two_runs_on_one_store_end_as_one(runs, tmp_path):
    """Cells may run twice; no record is damaged, and none is lost."""
    both = [runs.start(tmp_path / "shared") for _ in range(2)]
    for process in both:
        _, errors = process.communicate()
        assert process.returncode == 0, errors
    assert len(records(tmp_path / "shared")) == 7
    assert verify(tmp_path / "shared").problems == []
    assert not list((tmp_path / "shared").rglob(".partial-*"))


def test_two_interrupts_lose_no_more_than_one(runs, tmp_path):
    process = runs.start(tmp_path / "store")
    until = time.monotonic() + PATIENCE_S
    while not list((tmp_path / "store").glob("records/*/*/*.json")):
        assert time.monotonic() < until
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode in (130, -signal.SIGINT)
    assert "Traceback" not in errors
    assert reading.load(tmp_path / "store").damaged == []


def test_a_clock_that_goes_back_stops_nothing(good_run, copy):
    """Records from the future of the clock are still done; `verify` names the clock."""
    later = (datetime.now(UTC) + timedelta(days=400)).isoformat(timespec="seconds")
    for path in copy.records():
        document = json.loads(path.read_bytes())
        document["created"] = later
        path.write_text(json.dumps(document))
    env_class = good_run.environment.env_class
    assert all(copy.read_record(cell.key, env_class) for cell in good_run.cells)
    problems = verify(copy.root).problems
    assert len(problems) == len(good_run.cells)
    assert all("clock" in problem for problem in problems)
