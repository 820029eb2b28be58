"""A refresh that is killed at random moments and started again leaves the store of one that nobody disturbed."""

from __future__ import annotations

import json
import random
import signal
import time
from pathlib import Path

import pytest
import tiny

from cloakbench.store.store import Store
from cloakbench.upkeep.gc import clear
from tests.command_forks import Command, Helper

TIMES = {"cost", "created", "measured", "updated", "before", "after"}
CHECKOUT = {"commit", "dirty"}
"""The checkout that the tests run in may be edited meanwhile."""


def timeless(value):
    if isinstance(value, dict):
        return {name: timeless(each) for name, each in value.items() if name not in TIMES | CHECKOUT}
    return [timeless(each) for each in value] if isinstance(value, list) else value


def contents(store: Path) -> dict[str, object]:
    """Every file of a store but canaries, which are filed by their time: JSON without times, others byte for byte."""
    files = []
    for path in sorted(store.rglob("*")):
        if path.is_file() and "canaries" not in path.parts:
            files.append(path)
    return {path.relative_to(store).as_posix(): content(path) for path in files}


def content(path: Path) -> object:
    if path.suffix == ".json":
        return timeless(json.loads(path.read_bytes()))
    if path.suffix == ".jsonl":
        return [timeless(json.loads(line)) for line in path.read_bytes().splitlines()]
    return path.read_bytes()


class Refreshes:
    """Refreshes of the tiny suite in processes of their own.

    Args:
        forks: Starts them.
        folder: Where the suite, the stores and the sites are.
        weights: Folder of the stand-in weights.
    """

    def __init__(self, forks: Helper, folder: Path, weights: Path) -> None:
        self.forks, self.folder, self.weights = forks, folder, weights
        (folder / "tiny.toml").write_text(tiny.TEXT)

    def start(self, name: str) -> Command:
        """Starts a refresh of the store in the folder of a name."""
        root = self.folder / name
        words = ["refresh", self.folder / "tiny.toml", "--protection", "placebo", "--unofficial"]
        places = ["--store", root / "store", "--out", root / "site"]
        return self.forks.start(*words, *places, CLOAKBENCH_MODELS=str(self.weights))

    def end(self, command: Command) -> int:
        """Waits for the end; returns the exit code: 0, or that of a kill."""
        _, errors = command.communicate()
        assert command.returncode in (0, -signal.SIGKILL), errors
        return command.returncode

    def kill(self, kills: int) -> int:
        """Refreshes once undisturbed, then with so many kills; returns how many refreshes ended all the same."""
        moments = random.Random(8)
        start = time.monotonic()
        assert self.end(self.start("calm")) == 0
        whole = time.monotonic() - start
        done = ended = 0
        code = None
        while done < kills or code != 0:
            command = self.start(f"rough-{ended}")
            if done < kills:
                time.sleep(moments.uniform(0, whole / 2))
                command.send_signal(signal.SIGKILL)
            code = self.end(command)
            done += code != 0
            ended += code == 0
        return ended


@pytest.mark.parametrize("kills", [5, pytest.param(50, marks=pytest.mark.long)])
def test_a_refresh_killed_at_random_moments_ends_as_an_undisturbed_one(kills, forks, weights, tmp_path):
    ended = Refreshes(forks, tmp_path, weights).kill(kills)
    calm = tmp_path / "calm" / "store"
    clear(Store(calm))
    expected = contents(calm)
    assert sum(name.startswith("records/") for name in expected) == 7
    for number in range(ended):
        rough = tmp_path / f"rough-{number}" / "store"
        clear(Store(rough))  # what a killed process was writing lies beside, under a name that nobody reads
        left = contents(rough)
        assert left.keys() == expected.keys()
        assert left == expected
