"""Several processes: the same records as one, and nothing lost when one is killed."""

from __future__ import annotations

import os

import psutil
import pytest

from benchmark.errors import InfrastructureError
from benchmark.execute import local
from benchmark.execute import session as sessions
from benchmark.execute.choice import Choice
from benchmark.execute.local import LocalExecutor
from tests import tiny
from tests.running import Quiet, run, told

ENTRIES = ["random-noise"]


class Told(Quiet):
    """Remembers what ended, and does something after the first cell."""

    def __init__(self, then=lambda: None):
        self.finished, self.then = [], then

    def finish(self, cell, record):
        self.finished.append(cell.key)
        if len(self.finished) == 1:
            self.then()


@pytest.fixture(scope="module")
def alone(weights, tmp_path_factory):
    """The same run in one process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLOAKBENCH_MODELS", str(weights))
        folder = tmp_path_factory.mktemp("alone")
        (folder / "tiny.toml").write_text(tiny.TEXT)
        session = sessions.plan(Choice(str(folder / "tiny.toml"), ENTRIES), folder / "store")
        run(session)
        return session


def planned(weights, folder, monkeypatch):
    monkeypatch.setenv("CLOAKBENCH_MODELS", str(weights))
    (folder / "tiny.toml").write_text(tiny.TEXT)
    choice = Choice(str(folder / "tiny.toml"), ENTRIES)
    session = sessions.plan(choice, folder / "store")
    return session, LocalExecutor(choice, folder / "store", 2)


def test_two_processes_leave_the_records_of_one_even_when_one_is_killed(weights, alone, tmp_path, monkeypatch):
    session, executor = planned(weights, tmp_path, monkeypatch)
    killed = []

    def kill():
        children = [p for p in psutil.Process().children() if "spawn_main" in " ".join(p.cmdline())]
        killed.append(children[0].pid)
        children[0].kill()

    report = Told(kill)
    records = sessions.run(session, executor, report)
    assert killed
    assert [record.key for record in records] == [cell.key for cell in session.cells]
    assert sorted(report.finished) == sorted(cell.key for cell in session.cells)
    assert told(session.store) == told(alone.store)
    assert session.missing() == []


def dies(line, choice, root, keep_images):
    line.recv()
    os._exit(9)


def test_a_cell_that_kills_two_processes_ends_the_run(weights, tmp_path, monkeypatch):
    session, executor = planned(weights, tmp_path, monkeypatch)
    monkeypatch.setattr(local, "serve", dies)
    with pytest.raises(InfrastructureError, match=r"got 2 processes that died of it \(exit code 9\)"):
        sessions.run(session, executor, Told())
    assert not [p for p in psutil.Process().children() if "spawn_main" in " ".join(p.cmdline())]


def refuses(line, choice, root, keep_images):
    line.recv()
    line.send(InfrastructureError("no space is left", "Free some."))
    line.recv()


def test_what_goes_wrong_in_a_process_is_said_here(weights, tmp_path, monkeypatch):
    session, executor = planned(weights, tmp_path, monkeypatch)
    monkeypatch.setattr(local, "serve", refuses)
    with pytest.raises(InfrastructureError, match="no space is left"):
        sessions.run(session, executor, Told())
