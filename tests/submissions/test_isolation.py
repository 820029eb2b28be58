"""Hostile submissions: each ends as one explained status, and the harness goes on."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cloakbench.errors import SubmissionError, UserError
from cloakbench.schemas.kinds import Status
from cloakbench.submissions.guard import Order, Protected, SubmissionFault
from cloakbench.submissions.sandbox import bubblewrap, processes, running
from cloakbench.submissions.sandbox.client import Limits, SandboxedSubmission
from tests import roots
from tests.submissions import hostile
from tests.waiting import wait_until

IMAGE = np.full((16, 24, 3), 120, dtype=np.uint8)
LIMITS = Limits(seconds=600, memory_bytes=1200 << 20, processes=12)
WALLS = [
    "process",
    pytest.param(
        "bubblewrap", marks=pytest.mark.skipif(bubblewrap.kind() == "process", reason="no bubblewrap that works")
    ),
]

Misbehave = Callable[..., Protected]


@pytest.fixture(scope="module", autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("site")
    hostile.install(folder)
    with pytest.MonkeyPatch.context() as patch:
        path = os.pathsep.join([str(folder), roots.PYTHONPATH])
        patch.setenv("PYTHONPATH", path)
        yield folder


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    (folder / "secret").write_text("another entry")
    return folder


@pytest.fixture(scope="module", params=WALLS)
def worker(request: pytest.FixtureRequest, store: Path) -> Iterator[SandboxedSubmission]:
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "process":
            patch.setattr(shutil, "which", lambda _name: None)
        with SandboxedSubmission("hostile", LIMITS, hidden=[store]) as started:
            assert started.isolation == request.param
            yield started


def order(deed: str, *more: str) -> Order:
    return Order(strength=1.0, budget_255=16, seed=0, class_word="painting", captions=[deed, *more])


def misbehave(worker: SandboxedSubmission, deed: str, more: str = "") -> Protected:
    """Two images, because a caption each carries what to do and with what."""
    return worker.protect([IMAGE, IMAGE], order(deed, more))


def fault(worker: SandboxedSubmission, deed: str, more: str = "") -> SubmissionFault:
    with pytest.raises(SubmissionFault) as caught:
        misbehave(worker, deed, more)
    return caught.value


def fine(worker: SandboxedSubmission) -> None:
    assert (misbehave(worker, "fine").images[0] == IMAGE).all()


def test_an_order_says_what_it_cost(worker: SandboxedSubmission) -> None:
    fine(worker)
    assert 0 <= worker.busy_s < LIMITS.seconds  # 0 where it took less than the hundredth that systems count in
    assert 10 << 20 < worker.peak_bytes < LIMITS.memory_bytes


def test_claims_come_back_as_text_and_are_only_claims(worker: SandboxedSubmission) -> None:
    claims = worker.load()
    assert claims.title.startswith("<script>")
    assert claims.control is None


@pytest.mark.parametrize(
    ("deed", "status", "words"),
    [
        ("quits", Status.FAILED, "SystemExit"),
        ("grows", Status.INVALID_OUTPUT, "expected the shape of the images"),
        ("wrong_dtype", Status.INVALID_OUTPUT, "got torch.uint8"),
        ("nan", Status.INVALID_OUTPUT, "NaN"),
        ("not_a_tensor", Status.INVALID_OUTPUT, "got str"),
    ],
)
def test_faults_that_leave_the_process_alive(
    worker: SandboxedSubmission, deed: str, status: Status, words: str
) -> None:
    raised_fault = fault(worker, deed)
    assert (raised_fault.status, words in raised_fault.message) == (status, True)
    fine(worker)


@pytest.mark.parametrize("deed", ["prints", "seeds"])
def test_mischief_without_effect(worker: SandboxedSubmission, deed: str) -> None:
    assert (misbehave(worker, deed).images[1] == IMAGE).all()
    fine(worker)


def test_store_can_be_neither_read_nor_written(worker: SandboxedSubmission, store: Path) -> None:
    for deed in ("writes_store", "reads_store"):
        raised_fault = fault(worker, deed, str(store))
        assert raised_fault.status is Status.FAILED
        assert "Error" in raised_fault.message
    assert sorted(path.name for path in store.iterdir()) == ["secret"]
    start = str(store)[:100]  # of a long path the middle is left out
    assert any(start in attempt for attempt in worker.attempts)


def test_no_connection_to_a_socket_that_listens(worker: SandboxedSubmission) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.1)
        assert fault(worker, "connects", str(listening.getsockname()[1])).status is Status.FAILED
        with pytest.raises(TimeoutError):
            listening.accept()
    assert any("socket" in attempt for attempt in worker.attempts)


ENDS = [
    ("segfaults", Status.FAILED, "signal 11"),
    ("exits", Status.FAILED, "exit code 0"),
    ("hogs", Status.OOM, "expected at most 1200 MiB of memory"),
    ("storms", Status.FAILED, "expected at most 12 processes"),
]


def test_faults_that_end_the_process(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other: that each is what it is shows that the process after the fault before it is in order."""
    monkeypatch.setattr(running, "DISMISSED_S", 5.0)  # how long one that will not end is waited for
    with SandboxedSubmission("hostile", LIMITS, hidden=[store]) as own:
        for deed, status, words in ENDS:
            caught = fault(own, deed)
            assert caught.status is status, caught.message
            assert words in caught.message
        fine(own)


def test_a_fault_that_leaves_a_process_that_cannot_be_trusted(store: Path) -> None:
    with SandboxedSubmission("hostile", LIMITS, hidden=[store]) as own:
        caught = fault(own, "patches")
        assert caught.status is Status.INVALID_OUTPUT
        assert "expected every pixel of the saved PNG within 16 levels" in caught.message


@pytest.mark.parametrize("deed", ["sleeps", "spins"])
def test_no_end_is_a_timeout(store: Path, deed: str) -> None:
    with SandboxedSubmission("hostile", LIMITS, hidden=[store]) as own:
        own.load()
        own.limits = replace(LIMITS, seconds=1)
        assert fault(own, deed).status is Status.TIMEOUT


def test_children_left_behind_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    own = SandboxedSubmission("hostile", LIMITS)
    own.load()
    assert own._box is not None
    box = own._box.path
    assert len(processes.marked(box.name)) == 2  # the supervisor and the worker
    misbehave(own, "leaves_children")
    assert own.left_behind == 1
    wait_until(lambda: not processes.marked(box.name), "the end of what was left behind")
    assert not box.exists()
    own.close()


def test_environment_is_scrubbed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "x")
    variables = bubblewrap.environment(tmp_path, "mark")
    assert "SECRET_TOKEN" not in variables
    assert "CLOAKBENCH_STORE" not in variables
    assert variables["HOME"] == str(tmp_path)
    assert variables["HF_HUB_OFFLINE"] == "1"


def test_entry_point_that_raises_at_import_is_a_submissions_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile.install(tmp_path / "broken", "broken", "raise RuntimeError('at import')")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'broken'}{os.pathsep}{os.environ['PYTHONPATH']}")
    with SandboxedSubmission("broken") as own, pytest.raises(SubmissionError, match="got RuntimeError: at import"):
        own.load()


def test_unknown_name_is_the_users_error() -> None:
    with (
        SandboxedSubmission("hostil") as own,
        pytest.raises(UserError, match="expected an installed protection, got 'hostil'"),
    ):
        own.load()


def test_a_bubblewrap_that_may_not_make_namespaces_is_no_wall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = tmp_path / "bwrap"
    refused.write_text("#!/bin/sh\necho 'No permissions to create new namespace' >&2\nexit 1\n")
    refused.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda _name: str(refused))
    assert bubblewrap.kind() == "process"
    assert bubblewrap.wall([tmp_path], [], 1 << 20) == []


@pytest.mark.finding("D4")
def test_the_system_says_what_an_answer_has_cost(worker: SandboxedSubmission, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "DISMISSED_S", 0.5)  # this one never ends by itself
    misbehave(worker, "free")
    assert worker.busy_s > 0.9
    assert worker.peak_bytes > 50 << 20
    worker.close()
