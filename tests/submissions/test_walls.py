"""What a submission's process can reach, tried by one that means harm, with bubblewrap and without.

Each row names the attempt of the red team's report that it repeats (A9 to A22), or none where it is another variant of
the same kind. Without bubblewrap Landlock and seccomp hold most of it where the kernel has them; what they do not is
marked, and is why isolation `process` protects against accidents, not against intent.
"""

from __future__ import annotations

import os
import py_compile
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from cloakbench.schemas.kinds import Status
from cloakbench.submissions.sandbox import bubblewrap, running
from cloakbench.submissions.sandbox.client import SandboxedSubmission
from tests import roots
from tests.submissions import deeds, hostile, sandboxes
from tests.submissions.sandboxes import LIMITS, fault, protect

REFUSED = ("Error", "none", "[Errno")
LONGEST_SOCKET = 107
"""Bytes of a path that a Unix socket can have on Linux."""


@pytest.fixture(scope="module", autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The submission, with a compiled file that says something else than its source."""
    folder = tmp_path_factory.mktemp("site")
    hostile.install(folder, "deeds", deeds.SOURCE)
    module = folder / "deeds_more.py"
    module.write_text('VALUE = "from the cache"\n')
    py_compile.compile(str(module), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    module.write_text('VALUE = "from the source"\n')
    (folder / "deeds-1.0.dist-info" / "RECORD").write_text("deeds_module.py,,\ndeeds_more.py,,\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder), roots.PYTHONPATH]))
        patch.setattr(running, "DISMISSED_S", 5.0)
        yield folder


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    (folder / "secret").write_text("another entry")
    return folder


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the maintainer that nobody has hidden."""
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "secret").write_text("a key")
    return folder


@pytest.fixture(scope="module", params=sandboxes.ISOLATIONS)
def worker(request: pytest.FixtureRequest, store: Path) -> Iterator[SandboxedSubmission]:
    with pytest.MonkeyPatch.context() as patch:
        sandboxes.choose(request.param, patch)
        with SandboxedSubmission("deeds", LIMITS, hidden=[store]) as started:
            started.load()
            yield started


def refused(worker: SandboxedSubmission, deed: str, text: str = "") -> str:
    """Returns what the deed was told instead of what it wanted; skips where the kernel has no such restriction."""
    caught = fault(worker, deed, text)
    if bubblewrap.kind() == "process" and set(worker.walls) != {"landlock", "seccomp"}:
        pytest.skip(f"this kernel holds only {worker.walls}")
    assert caught.status is Status.FAILED
    assert "Got" not in caught.message, f"{deed} {text}: {caught.message}"
    return caught.message


@pytest.mark.parametrize(
    "deed", ["writes", "writes_by_program", "writes_by_libc", "links", "removes", "reads", "reads_by_program"]
)
@pytest.mark.parametrize("folder", ["store", "elsewhere"])
def test_no_file_outside_is_read_or_changed(
    worker: SandboxedSubmission, deed: str, folder: str, store: Path, elsewhere: Path
) -> None:
    """A6, A11, A12, A17 (`ungate`, `subprocess_write`, `reads_hidden_sub`)."""
    path = {"store": store, "elsewhere": elsewhere}[folder]
    refused(worker, deed, str(path))
    assert [entry.name for entry in path.iterdir()] == ["secret"]


def test_the_home_folder_is_not_there(worker: SandboxedSubmission) -> None:
    """A12."""
    refused(worker, "lists_home")


@pytest.mark.parametrize("deed", ["tcp", "tcp_by_libc", "tcp_by_program"])
def test_no_connection_leaves(worker: SandboxedSubmission, deed: str) -> None:
    """A11, A17 (`libc_net`, `subprocess_net`)."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.1)
        refused(worker, deed, str(listening.getsockname()[1]))
        with pytest.raises(TimeoutError):
            listening.accept()


def test_no_datagram_leaves(worker: SandboxedSubmission) -> None:
    """A17 (`udp_native`)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiving:
        receiving.bind(("127.0.0.1", 0))
        receiving.settimeout(0.1)
        refused(worker, "udp", str(receiving.getsockname()[1]))
        with pytest.raises(TimeoutError):
            receiving.recv(16)


@pytest.mark.parametrize("deed", ["unix_path", "unix_abstract"])
def test_no_socket_of_the_host_answers(worker: SandboxedSubmission, deed: str, elsewhere: Path, tmp_path: Path) -> None:
    """A10, A11."""
    if len(os.fsencode(tmp_path / "agent")) > LONGEST_SOCKET:
        pytest.skip("the path of the folder for temporary files is too long for a socket")
    name = f"cloakbench-{os.getpid()}" if deed == "unix_abstract" else os.path.relpath(tmp_path / "agent")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"\0{name}" if deed == "unix_abstract" else name)
        listening.listen()
        listening.settimeout(0.1)
        refused(worker, deed, name if deed == "unix_abstract" else str(tmp_path / "agent"))
        with pytest.raises(TimeoutError):
            listening.accept()


@pytest.mark.parametrize("deed", ["netlink", "io_uring", "becomes_root", "mounts", "devices"])
def test_the_kernels_other_doors_are_shut(worker: SandboxedSubmission, deed: str) -> None:
    """A11; io_uring, namespaces and mounts are other variants."""
    refused(worker, deed)


@pytest.mark.parametrize(
    "deed",
    ["harness_environment", "harness_memory", "harness_memory_by_call", "harness_traced", "harness_signalled"],
)
def test_the_harness_can_be_neither_read_nor_touched(
    worker: SandboxedSubmission, deed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A18."""
    refused(worker, deed)


def test_entries_leave_nothing_for_each_other_in_shared_memory(worker: SandboxedSubmission) -> None:
    """A9: under bubblewrap each process has a /dev/shm of its own; Landlock lets nobody write to the common one."""
    note = Path("/dev/shm/cloakbench-note")
    with suppress(FileNotFoundError):
        note.unlink()
    has_its_own = bubblewrap.kind() == "bubblewrap"
    caught = fault(worker, "shared_memory")
    if not has_its_own and "landlock" not in worker.walls:
        pytest.skip("this kernel has no Landlock")
    assert ("Got" in caught.message) == has_its_own
    assert not note.exists()
    worker.close()
    refused(worker, "shared_memory_found")


@pytest.mark.parametrize("deed", ["fills_shared_memory", "fills_box"])
def test_no_folder_takes_more_than_its_limit(worker: SandboxedSubmission, deed: str) -> None:
    """A full /dev/shm and a full disk: files of 64 MiB, shared memory of 1 GiB in a box of its own."""
    message = refused(worker, deed)
    assert "full after" in message or "Permission" in message
    protect(worker, "fine")


def test_a_compiled_file_beside_the_source_is_not_run(worker: SandboxedSubmission) -> None:
    """A21: what the digest leaves out is not what runs."""
    assert "from the source" in refused(worker, "imports_from_cache")


def test_texts_of_strangers_are_bounded_and_clean(worker: SandboxedSubmission) -> None:
    """A13, A16, A23."""
    for deed in ("lone_surrogate", "terminal", "huge_text"):
        caught = fault(worker, deed)
        assert (caught.message + caught.hint + caught.traceback).encode()
        assert len(caught.message) <= 2000
        assert len(caught.traceback) <= 16000
        assert not set("\x1b\x07\u202e") & set(caught.message + caught.traceback)
    title = worker.load().title
    assert len(title) <= 300
    assert title.startswith("deeds \ufffd[2J\ufffd\ufffd")


@pytest.mark.parametrize("deed", ["sparse", "lying", "meta", "complex_numbers"])
def test_output_on_which_the_checks_raise_counts_against_the_entry(worker: SandboxedSubmission, deed: str) -> None:
    """A19."""
    assert fault(worker, deed).status is (Status.FAILED if deed == "meta" else Status.INVALID_OUTPUT)


def test_the_recorded_budget_is_the_one_that_counts(worker: SandboxedSubmission) -> None:
    """A15."""
    assert fault(worker, "blackens").status is Status.INVALID_OUTPUT


def test_programs_and_native_code_are_named(worker: SandboxedSubmission) -> None:
    """A17: they pass by the audit hook, so that `check` shows them."""
    if not worker.observed:  # this test runs alone
        fault(worker, "writes_by_program", os.devnull)
    assert any(line.startswith("started ") for line in worker.observed), worker.observed
    assert any("native code" in line for line in worker.observed), worker.observed
