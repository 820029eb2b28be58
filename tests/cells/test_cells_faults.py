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
from itertools import starmap
from types import SimpleNamespace
from typing import NamedTuple

import pytest
from test_cells_kill import Runs, records

from cloakbench.store import reading
from cloakbench.store.store import Store
from cloakbench.submissions.sandbox import bubblewrap
from cloakbench.upkeep.verify import verify
from tests import tiny
from tests.waiting import wait_until

HAS_BUBBLEWRAP = pytest.mark.skipif(bubblewrap.kind() != "bubblewrap", reason="no bubblewrap that works")
VERBS = """
import json, os, sys
from cloakbench.cli import main

codes = []
for arguments in json.loads(sys.argv[1]):
    print("BEGINS", arguments[0], file=sys.stderr, flush=True)
    try:
        main(arguments)
    except SystemExit as ended:
        codes.append(ended.code)
sys.stderr.flush()
print("CODES", json.dumps(codes))
"""
"""Runs several commands in one process, because importing the libraries takes most of the time."""


class Ended(NamedTuple):
    """How a command ended: its exit code, and what it wrote to standard error."""

    code: int
    errors: str


def run_verbs(commands, *wall, **variables):
    """Returns how each command ended, in their order."""
    texts = json.dumps([[str(word) for word in command] for command in commands])
    command = [*wall, sys.executable, "-c", VERBS, texts]
    done = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    assert "CODES" in done.stdout, done.stderr
    errors = done.stderr.split("BEGINS ")[1:]
    return list(starmap(Ended, zip(json.loads(done.stdout.rpartition("CODES")[2]), errors, strict=True)))


def walled(*options):
    """The whole machine as it is, but for `options`."""
    return ["bwrap", "--dev-bind", "/", "/", *map(str, options), "--"]


def copied(session, folder):
    shutil.copytree(session.store.root, folder / "store with spaces å 桜")
    return Store(folder / "store with spaces å 桜")


@pytest.fixture
def copy(good_run, tmp_path):
    return copied(good_run, tmp_path)


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


READING, WRITING = ["verify", "board", "status", "plan", "export"], ["run", "merge", "adopt"]
FILLING = ["merge", "adopt"]


def commands(folder, source, store, small):
    """Commands on a read-only `store`, then those that fill the store in `small`, then one that starts a process."""
    suite = folder / "tiny.toml"
    planned = [suite, "--protection", "placebo", "--store"]
    return [
        ["verify", store],
        ["board", "--store", store, "--out", folder / "site", "--unofficial"],
        ["status", *planned, store],
        ["plan", *planned, store],
        ["export", "tiny", "--store", store, "--out", folder / "exported"],
        ["run", *planned, store, "--only", "seed=0"],
        ["merge", source, "--store", store],
        ["adopt", source, "--store", store],
        *([verb, source, "--store", small / "store"] for verb in FILLING),
        ["run", *planned, folder / "store", "--executor", "local", "--workers", 1, "--limit", 2],
    ]


@pytest.fixture(scope="module")
def faulty(good_run, weights, tmp_path_factory):
    """How commands end in one process with a read-only store, a file system of 64 KiB, and no shared memory.

    Returns a folder, the endings by kind and verb, and what the read-only store held before and after.
    """
    folder = tmp_path_factory.mktemp("faulty")
    store, small = copied(good_run, folder).root, folder / "small"
    (folder / "tiny.toml").write_text(tiny.TEXT)
    small.mkdir()
    before = contents(store)
    limits = ["--size", 1 << 16, "--tmpfs", small, "--size", 4096, "--tmpfs", "/dev/shm"]
    wall = walled("--ro-bind", store, store, *limits)
    endings = run_verbs(commands(folder, good_run.store.root, store, small), *wall, CLOAKBENCH_MODELS=str(weights))
    by_kind = {}
    for kind, verbs in {"read-only": [*READING, *WRITING], "full": FILLING, "no shared memory": ["run"]}.items():
        by_kind[kind] = dict(zip(verbs, endings, strict=False))
        endings = endings[len(verbs) :]
    return SimpleNamespace(folder=folder, ended=by_kind, before=before, after=contents(store))


@HAS_BUBBLEWRAP
@pytest.mark.finding("C5")
def test_a_read_only_store_is_read_and_never_written(faulty):
    ended = faulty.ended["read-only"]
    assert {verb: ended[verb].code for verb in ended} == {**dict.fromkeys(READING, 0), **dict.fromkeys(WRITING, 2)}
    for verb in WRITING:
        assert "writable store" in ended[verb].errors
    assert faulty.after == faulty.before


@HAS_BUBBLEWRAP
def test_a_full_disk_keeps_what_was_there(faulty):
    """A store on a file system of 64 KiB."""
    for ended in faulty.ended["full"].values():
        assert (ended.code, "no space is left" in ended.errors) == (2, True), ended.errors


@HAS_BUBBLEWRAP
def test_a_run_needs_no_shared_memory(faulty):
    assert faulty.ended["no shared memory"]["run"].code == 0
    assert verify(faulty.folder / "store").problems == []


@pytest.mark.finding("C4")
def test_without_a_home_folder_and_with_a_limit_on_files(copy, tmp_path):
    nowhere = {"HOME": "/nonexistent", "XDG_CACHE_HOME": ""}
    target = tmp_path / "target"
    words = [["verify", copy.root], ["list", "suites"], ["doctor", "--store", copy.root]]
    verified, listed, _, adopted = run_verbs(
        [*words, ["adopt", copy.root, "--store", target]], "prlimit", "--fsize=2048", **nowhere
    )
    assert (verified.code, listed.code) == (0, 0)
    assert adopted.code == 2
    assert "could not write" in adopted.errors
    assert list(Store(target).records()) == []


@pytest.mark.finding("C1")
def test_a_reader_that_leaves_after_the_first_line_is_no_fault():
    script = 'set -o pipefail; "$0" -c "from cloakbench.cli import main; main()" list metrics | head -n 1'
    done = subprocess.run(["/bin/bash", "-c", script, sys.executable], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.finding("C7")
def test_two_processes_take_records_into_one_store_at_once(copy, good_run, forks, tmp_path):
    store = Store(tmp_path / "target")
    children = [forks.start("adopt", copy.root, "--store", store.root) for _ in range(2)]
    errors = [process.communicate()[1] for process in children]
    assert [process.returncode for process in children] == [0, 0], errors
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
    wait_until(lambda: list((tmp_path / "store").glob("records/*/*/*.json")), "a record", pause_s=0.01)
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
    for cell in good_run.cells:
        assert copy.read_record(cell.key, env_class)
    problems = verify(copy.root).problems
    assert len(problems) == len(good_run.cells)
    for problem in problems:
        assert "clock" in problem
