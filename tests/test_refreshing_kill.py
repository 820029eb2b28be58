"""A refresh that is killed at random moments and started again leaves the store of one that nobody disturbed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import tiny

from cloakbench.store.store import Store
from cloakbench.upkeep.gc import clear

TIMES = {"cost", "created", "measured", "updated", "before", "after"}
CHECKOUT = {"commit", "dirty"}
"""The checkout that the tests run in may be edited meanwhile."""


def timeless(value):
    if isinstance(value, dict):
        return {name: timeless(item) for name, item in value.items() if name not in TIMES | CHECKOUT}
    return [timeless(item) for item in value] if isinstance(value, list) else value


def contents(store: Path) -> dict[str, object]:
    """Every file of a store but canaries, which are filed by their time: JSON without times, others byte for byte."""
    files = [path for path in sorted(store.rglob("*")) if path.is_file() and "canaries" not in path.parts]
    return {path.relative_to(store).as_posix(): content(path) for path in files}


def content(path: Path) -> object:
    if path.suffix == ".json":
        return timeless(json.loads(path.read_bytes()))
    if path.suffix == ".jsonl":
        return [timeless(json.loads(line)) for line in path.read_bytes().splitlines()]
    return path.read_bytes()


def killed(kills: int, weights: Path, folder: Path) -> dict[str, object]:
    suite = folder / "tiny.toml"
    suite.write_text(tiny.TEXT)
    command = [sys.executable, "-P", Path(__file__).with_name("killing.py"), suite, folder, str(kills), "8"]
    root = str(Path(__file__).parents[1])
    environment = {**os.environ, "CLOAKBENCH_MODELS": str(weights), "OMP_NUM_THREADS": "1", "PYTHONPATH": root}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("kills", [5, pytest.param(50, marks=pytest.mark.long)])
def test_a_refresh_killed_at_random_moments_ends_as_an_undisturbed_one(kills, weights, tmp_path):
    killed_times = killed(kills, weights, tmp_path)
    assert killed_times["kills"] == kills
    assert killed_times["codes"] == [-signal.SIGKILL, 0], "nothing ended otherwise"
    calm = tmp_path / "calm" / "store"
    clear(Store(calm))
    expected = contents(calm)
    assert sum(name.startswith("records/") for name in expected) == 7
    for round_ in range(killed_times["rounds"]):
        rough = tmp_path / f"rough-{round_}" / "store"
        clear(Store(rough))  # what a killed process was writing lies beside, under a name that nobody reads
        contents_now = contents(rough)
        assert contents_now.keys() == expected.keys()
        assert contents_now == expected
