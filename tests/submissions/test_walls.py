"""What a submission's process can reach, tried by one that means harm, in each isolation.

Each test names the attempts of `findings.py` that it repeats; the other deeds are further variants of the same kinds.
Without bubblewrap Landlock and seccomp hold nearly all of it where the kernel has them. Where it has neither, what gets
through is marked, and is why isolation `process` protects against accidents, not against intent.
"""

from __future__ import annotations

import ctypes
import os
import py_compile
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from cloakbench.schemas.kinds import Status
from cloakbench.submissions.sandbox import kernel, running
from cloakbench.submissions.sandbox.client import SandboxedSubmission
from tests import roots
from tests.submissions import deeds, hostile, sandboxes
from tests.submissions.findings import FINDINGS, Outcome
from tests.submissions.sandboxes import LIMITS, fault, protect
from tests.waiting import has_ended, wait_until

LONGEST_SOCKET = 107
"""Bytes of a path that a Unix socket can have on Linux."""
NOTES = (Path(f"/dev/shm/cloakbench-note-{os.getpid()}"), Path("/dev/shm/fill"))
"""What deeds leave in the shared memory of the machine where they may."""


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


@pytest.fixture(scope="module", params=sandboxes.MODES)
def mode(request: pytest.FixtureRequest) -> str:
    """`bubblewrap`; `process` with what the kernel can refuse; `plain` without."""
    return str(request.param)


@pytest.fixture(scope="module")
def worker(mode: str, store: Path) -> Iterator[SandboxedSubmission]:
    with pytest.MonkeyPatch.context() as patch:
        sandboxes.choose(mode, patch)
        with SandboxedSubmission("deeds", LIMITS, hidden=[store]) as started:
            started.load()
            yield started


@pytest.fixture(autouse=True)
def whole(store: Path, elsewhere: Path) -> Iterator[None]:
    """Puts back what a deed has changed where nothing holds it."""
    yield
    for note in NOTES:
        note.unlink(missing_ok=True)
    for folder, text in ((store, "another entry"), (elsewhere, "a key")):
        (folder / "stolen").unlink(missing_ok=True)
        (folder / "secret").write_text(text)


def attempt(worker: SandboxedSubmission, deed: str, text: str = "", *, expected: Outcome = Outcome.HELD) -> str:
    """Returns what a deed was answered after a check of how it ended; skips where the kernel lacks a restriction.

    Args:
        worker: The submission.
        deed: What it does.
        text: With what.
        expected: How it has to end.
    """
    caught = fault(worker, deed, text)
    assert caught.status is Status.FAILED
    assert ("Got" in caught.message) == (expected is Outcome.PASSES), f"{deed} {text}: {caught.message}"
    return caught.message


def expect(mode: str, worker: SandboxedSubmission, finding: str) -> Outcome:
    """Returns how an attempt has to end in the isolation; skips where the kernel has not what the isolation needs."""
    if mode == "process" and set(worker.walls) != {"landlock", "seccomp"}:
        pytest.skip(f"this kernel holds only {worker.walls}")
    row = FINDINGS[finding]
    return {"bubblewrap": row.bubblewrap, "process": row.landlock, "plain": row.plain}[mode]


@pytest.mark.finding("A6", "A12", "A17")
@pytest.mark.parametrize(
    "deed", ["writes", "writes_by_program", "writes_by_libc", "links", "removes", "reads", "reads_by_program"]
)
@pytest.mark.parametrize("folder", ["store", "elsewhere"])
def test_no_file_outside_is_read_or_changed(
    mode: str, worker: SandboxedSubmission, deed: str, folder: str, store: Path, elsewhere: Path
) -> None:
    path = {"store": store, "elsewhere": elsewhere}[folder]
    outcome = expect(mode, worker, "A17")
    attempt(worker, deed, str(path), expected=outcome)
    if outcome is Outcome.HELD:
        assert [entry.name for entry in path.iterdir()] == ["secret"]


@pytest.mark.finding("A12")
def test_the_home_folder_is_not_there(mode: str, worker: SandboxedSubmission) -> None:
    attempt(worker, "lists_home", expected=expect(mode, worker, "A12"))


@pytest.mark.finding("A11", "A17")
@pytest.mark.parametrize("deed", ["tcp", "tcp_by_libc", "tcp_by_program"])
def test_no_connection_leaves(mode: str, worker: SandboxedSubmission, deed: str) -> None:
    outcome = expect(mode, worker, "A11")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.1)
        attempt(worker, deed, str(listening.getsockname()[1]), expected=outcome)
        if outcome is Outcome.HELD:
            with pytest.raises(TimeoutError):
                listening.accept()


@pytest.mark.finding("A17")
def test_no_datagram_leaves(mode: str, worker: SandboxedSubmission) -> None:
    outcome = expect(mode, worker, "A17")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiving:
        receiving.bind(("127.0.0.1", 0))
        receiving.settimeout(0.1)
        attempt(worker, "udp", str(receiving.getsockname()[1]), expected=outcome)
        if outcome is Outcome.HELD:
            with pytest.raises(TimeoutError):
                receiving.recv(16)


@pytest.mark.finding("A10", "A11")
@pytest.mark.parametrize("deed", ["unix_path", "unix_abstract"])
def test_no_socket_of_the_host_answers(mode: str, worker: SandboxedSubmission, deed: str, tmp_path: Path) -> None:
    if len(os.fsencode(tmp_path / "agent")) > LONGEST_SOCKET:
        pytest.skip("the path of the folder for temporary files is too long for a socket")
    outcome = expect(mode, worker, "A10")
    name = f"cloakbench-{os.getpid()}" if deed == "unix_abstract" else os.path.relpath(tmp_path / "agent")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"\0{name}" if deed == "unix_abstract" else name)
        listening.listen()
        listening.settimeout(0.1)
        text = name if deed == "unix_abstract" else str(tmp_path / "agent")
        attempt(worker, deed, text, expected=outcome)
        if outcome is Outcome.HELD:
            with pytest.raises(TimeoutError):
                listening.accept()


@pytest.mark.finding("A11")
@pytest.mark.parametrize(
    "deed",
    ["netlink", "io_uring", "becomes_root", "becomes_root_by_clone", "becomes_root_by_clone3", "mounts", "devices"],
)
def test_the_kernels_other_doors_are_shut(mode: str, worker: SandboxedSubmission, deed: str) -> None:
    """Without seccomp, io_uring and namespaces are as the kernel's settings have them."""
    if mode == "plain" and deed not in {"netlink", "mounts"}:
        pytest.skip("depends on the settings of the kernel")
    is_dropped = deed in {"mounts", "devices"}  # needs a capability, which a worker gives up in any isolation
    attempt(worker, deed, expected=Outcome.HELD if is_dropped else expect(mode, worker, "A11"))


@pytest.mark.finding("A18")
@pytest.mark.parametrize(
    "deed", ["harness_environment", "harness_memory", "harness_memory_by_call", "harness_traced", "harness_files"]
)
def test_the_harness_cannot_be_read(mode: str, worker: SandboxedSubmission, deed: str) -> None:
    attempt(worker, deed, expected=expect(mode, worker, "A18"))


def test_the_harness_cannot_be_signalled(mode: str, worker: SandboxedSubmission) -> None:
    outcome = expect(mode, worker, "A11")
    if mode == "process" and kernel.landlock_version() < kernel.SCOPED_FROM:
        outcome = Outcome.PASSES
    attempt(worker, "harness_signalled", expected=outcome)


@pytest.mark.finding("D21")
@pytest.mark.parametrize("deed", ["harness_limited", "harness_slowed", "harness_pinned"])
def test_the_harness_keeps_its_limits_and_priority(mode: str, worker: SandboxedSubmission, deed: str) -> None:
    if mode == "plain" and deed != "harness_limited":
        pytest.skip("would slow the tests, and depends on the capabilities of the user")
    attempt(worker, deed, expected=expect(mode, worker, "D21"))


@pytest.mark.finding("D20")
@pytest.mark.parametrize("deed", ["chmods", "chowns", "touches", "marks"])
def test_no_file_outside_gets_other_permissions_times_or_attributes(
    mode: str, worker: SandboxedSubmission, deed: str, elsewhere: Path
) -> None:
    """Landlock holds none of this; seccomp refuses it."""
    if mode == "plain" and deed == "marks":
        pytest.skip("depends on the file system")
    before = (elsewhere / "secret").stat()
    outcome = expect(mode, worker, "D20")
    attempt(worker, deed, str(elsewhere), expected=outcome)
    if outcome is Outcome.HELD:
        assert (elsewhere / "secret").stat() == before


@pytest.mark.finding("D19")
@pytest.mark.parametrize(("deed", "table"), [("system_v_memory", "shm"), ("system_v_queue", "msg")])
def test_entries_leave_nothing_for_each_other_by_number(
    mode: str, worker: SandboxedSubmission, deed: str, table: str
) -> None:
    """Under bubblewrap a box has numbers of its own."""
    listing = Path("/proc/sysvipc", table)
    if not listing.exists():
        pytest.skip("this kernel has no System V IPC")
    outcome, number = expect(mode, worker, "D19"), os.getpid() + (1 << 24)
    attempt(worker, deed, str(number), expected=Outcome.HELD if mode == "process" else Outcome.PASSES)
    rows = [line.split() for line in listing.read_text().splitlines()]
    left = []
    for row in rows:
        if row[0] == str(number):
            left.append(int(row[1]))
    for identity in left:
        remove = ctypes.CDLL(None).shmctl if table == "shm" else ctypes.CDLL(None).msgctl
        remove(identity, 0, None)
    assert bool(left) == (outcome is Outcome.PASSES)


@pytest.mark.finding("A18")
def test_without_bubblewrap_the_arguments_of_the_harness_can_be_read(mode: str, worker: SandboxedSubmission) -> None:
    """They hold no secret: a salt is given as a file."""
    attempt(worker, "harness_arguments", expected=Outcome.HELD if mode == "bubblewrap" else Outcome.PASSES)


def test_no_other_process_leads_to_files_outside(mode: str, worker: SandboxedSubmission, elsewhere: Path) -> None:
    attempt(worker, "supervisor_files", str(elsewhere), expected=expect(mode, worker, "A18"))


@pytest.mark.finding("A9")
def test_entries_leave_nothing_for_each_other_in_shared_memory(mode: str, worker: SandboxedSubmission) -> None:
    """Under bubblewrap each process has a /dev/shm of its own; Landlock lets nobody write to the common one."""
    outcome = expect(mode, worker, "A9")
    attempt(worker, "shared_memory", NOTES[0].name, expected=Outcome.HELD if mode == "process" else Outcome.PASSES)
    assert NOTES[0].exists() == (outcome is Outcome.PASSES)
    worker.close()
    attempt(worker, "shared_memory_found", NOTES[0].name, expected=outcome)


@pytest.mark.parametrize("deed", ["fills_shared_memory", "fills_box"])
def test_no_folder_takes_more_than_its_limit(mode: str, worker: SandboxedSubmission, deed: str) -> None:
    """A full /dev/shm and a full disk: files of 64 MiB, shared memory of 1 GiB in a box of its own."""
    expect(mode, worker, "A9")
    message = attempt(worker, deed)
    assert "full after" in message or "Permission" in message
    protect(worker, "fine")


@pytest.mark.finding("A4", "A5")
@pytest.mark.parametrize("deed", ["nests_folders", "locks_folders"])
def test_its_folder_is_removed_whatever_is_in_it(worker: SandboxedSubmission, deed: str) -> None:
    protect(worker, deed)
    assert worker._box is not None
    folder = worker._box.path
    worker.close()
    assert not folder.exists()


@pytest.mark.finding("A22")
def test_a_daemon_ends_with_its_call(worker: SandboxedSubmission) -> None:
    worker.load()
    before = worker.left_behind
    protect(worker, "daemon")
    assert worker.left_behind == before + 1
    for process in psutil.process_iter(["cmdline"]):
        if process.info["cmdline"] == ["sleep", "617"]:
            wait_until(partial(has_ended, process.pid), "the end of a daemon")


@pytest.mark.finding("D32")
def test_a_daemon_ends_though_its_supervisor_was_to_end_first(mode: str, worker: SandboxedSubmission) -> None:
    """Landlock refuses signals from version 6 on; nobody can end process 1 of a namespace from inside it."""
    outcome, seconds = expect(mode, worker, "D32"), str(2 * 10**6 + os.getpid())
    if mode == "process" and kernel.landlock_version() < kernel.SCOPED_FROM:
        outcome = Outcome.PASSES
    assert fault(worker, "daemon_without_supervisor", seconds).status is Status.FAILED
    worker.close()
    staying = 0
    for process in psutil.process_iter(["cmdline"]):
        if process.info["cmdline"] == ["sleep", seconds] and not has_ended(process.pid):
            staying += 1
            process.kill()
    assert staying <= (1 if outcome is Outcome.PASSES else 0)


def test_a_fork_bomb_is_a_fault_of_the_entry(worker: SandboxedSubmission) -> None:
    """Either limit may end it: the processes share the worker's memory, which counts once for each."""
    assert fault(worker, "forks").status in {Status.FAILED, Status.OOM}
    protect(worker, "fine")


@pytest.mark.finding("A21")
def test_a_compiled_file_beside_the_source_is_not_run(worker: SandboxedSubmission) -> None:
    """What the digest leaves out is not what runs."""
    assert "from the source" in attempt(worker, "imports_from_cache")


@pytest.mark.finding("A13", "A16", "A23")
def test_texts_of_strangers_are_bounded_and_clean(worker: SandboxedSubmission) -> None:
    for deed in ("lone_surrogate", "terminal", "huge_text"):
        caught = fault(worker, deed)
        assert (caught.message + caught.hint + caught.traceback).encode()
        assert len(caught.message) <= 2000
        assert len(caught.traceback) <= 16000
        assert not set("\x1b\x07\u202e") & set(caught.message + caught.traceback)
    title = worker.load().title
    assert len(title) <= 300
    assert title.startswith("deeds \ufffd[2J\ufffd\ufffd")


@pytest.mark.finding("A19")
@pytest.mark.parametrize("deed", ["sparse", "lying", "meta", "complex_numbers"])
def test_output_on_which_the_checks_raise_counts_against_the_entry(worker: SandboxedSubmission, deed: str) -> None:
    assert fault(worker, deed).status is (Status.FAILED if deed == "meta" else Status.INVALID_OUTPUT)


@pytest.mark.finding("A15")
def test_the_recorded_budget_is_the_one_that_counts(worker: SandboxedSubmission) -> None:
    assert fault(worker, "blackens").status is Status.INVALID_OUTPUT


@pytest.mark.finding("A17")
def test_programs_and_native_code_are_named(worker: SandboxedSubmission) -> None:
    """They pass by the audit hook, so that `check` shows them."""
    if not worker.observed:  # this test runs alone
        fault(worker, "tcp_by_program", "1")
    assert any(line.startswith("started ") for line in worker.observed), worker.observed
    assert any("native code" in line for line in worker.observed), worker.observed
