"""A real run, killed at several moments and taken up again, against one that nobody disturbed."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
import tiny

from cloakbench.image_files import decode
from cloakbench.images import digest
from cloakbench.runs import session as sessions
from cloakbench.schemas.kinds import Status
from tests.command_forks import Command, Helper
from tests.waiting import wait_until


class Runs:
    """Starts `cloakbench run` on one suite file with the stand-in weights, slowed so that it can be stopped."""

    def __init__(self, suite: Path, weights: Path, forks: Helper) -> None:
        self.suite, self.weights, self.forks = suite, weights, forks

    def start(self, store: Path) -> Command:
        arguments = ["run", self.suite, "--protection", "placebo", "--store", store, "--keep", "images", "--json"]
        return self.forks.start(*arguments, is_slowed=True, CLOAKBENCH_MODELS=str(self.weights))

    def finish(self, store: Path) -> dict[str, object]:
        process = self.start(store)
        out, err = process.communicate()
        assert process.returncode == 0, err
        return json.loads(out)

    def stop(self, store: Path, pattern: str, count: int, how: signal.Signals) -> tuple[int, str]:
        """Sends `how` as soon as the store holds `count` files of `pattern`; returns the exit code and what it said."""
        process = self.start(store)

        def is_reached():
            assert process.poll() is None, process.communicate()[1]
            return len(list(store.glob(pattern))) >= count

        wait_until(is_reached, f"{count} of {pattern}", pause_s=0.002)
        process.send_signal(how)
        _, err = process.communicate()
        return process.returncode, err


def undisturbed(suite, store):
    return sessions.run(tiny.session(suite, store), keep_images=True)


@pytest.fixture(scope="module")
def runs(weights, forks, tmp_path_factory):
    path = tmp_path_factory.mktemp("suite") / "tiny.toml"
    path.write_text(tiny.TEXT)
    return Runs(path, weights, forks)


def records(store):
    by_name = {}
    for path in sorted((store / "records").glob("*/*/*.json")):
        document = json.loads(path.read_bytes())
        for field in ("cost", "created"):
            del document[field]
        # The checkout that the tests run in may be edited meanwhile.
        document["environment"].pop("commit")
        document["environment"].pop("dirty")
        by_name[path.relative_to(store).as_posix()] = document
    return by_name


def pictures(store):
    return {p.relative_to(store).as_posix(): digest(decode(p.read_bytes())) for p in sorted(store.rglob("*.png"))}


MOMENTS = [
    ("images/*/*/*/*.png", 1, signal.SIGKILL),  # while the first images are written
    ("records/*/*/*.json", 2, signal.SIGKILL),  # just after a record
    ("records/*/*/*.json", 4, signal.SIGINT),
    ("images/*/*/*/manifest.json", 11, signal.SIGKILL),  # between the images of a cell and its record
]


@pytest.mark.usefixtures("stand_ins")
def test_a_run_stopped_at_any_moment_ends_as_an_undisturbed_one(runs, tmp_path):
    calm, rough = tmp_path / "calm", tmp_path / "rough"
    assert {record.status for record in undisturbed(runs.suite, calm)} == {Status.OK}
    kept = 0
    for pattern, count, how in MOMENTS:
        before = {path: path.read_bytes() for path in (rough / "records").glob("*/*/*.json")}
        code, err = runs.stop(rough, pattern, count, how)
        assert code == (130 if how is signal.SIGINT else -how), err
        assert "Traceback" not in err
        assert ("finished cells are kept, run again to go on" in err) == (how is signal.SIGINT)
        for path, data in before.items():
            assert path.read_bytes() == data
        kept = len(records(rough))
        assert kept < 7, "it was over before it could be stopped"
    assert kept > 0
    assert runs.finish(rough) == {"cells": 7, "failed": 0, "ran": 7 - kept, "store": str(rough)}
    assert records(rough) == records(calm)
    assert pictures(rough) == pictures(calm)
