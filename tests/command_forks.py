"""Commands, and workers of submissions, in processes of their own that start at once: forks of a helper.

Importing the models' libraries takes seconds, longer than a run of the tiny suite. The helper imports them once for
all processes of a test run and runs nothing itself; it ends when the last of them has left. A fork leaves the helper's
loop and goes on as a program that was started with its arguments, so that it ends as such a program does. A worker that
is a fork confines itself as one without bubblewrap does; tests of how a worker starts, and of its walls, start a
program.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from tests import roots
from tests.waiting import PATIENCE_S, wait_until

MESSAGE = 1 << 20
"""Bytes of the longest request."""
PAUSE_S = 0.25
"""How long a slowed command waits after each write: on a busy machine a tiny run would end before it can be stopped."""


class Command:
    """A command that runs in a fork of the helper."""

    def __init__(self, helper: Helper, pid: int, out: Path, err: Path) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._helper, self._out, self._err = helper, out, err

    def poll(self) -> int | None:
        """Returns the exit code, negative for a signal, or None while the command runs."""
        if self.returncode is None:
            self.returncode = self._helper.ask({"poll": self.pid})
        return self.returncode

    def communicate(self, timeout: float = PATIENCE_S) -> tuple[str, str]:
        """Waits for the end; returns what was written to standard output and to standard error."""
        try:
            wait_until(lambda: self.poll() is not None, "the end of a command", timeout)
        except AssertionError:
            self.send_signal(signal.SIGKILL)
            raise
        return self._out.read_text(), self._err.read_text()

    def send_signal(self, number: signal.Signals) -> None:
        """Sends a signal to the command alone."""
        os.kill(self.pid, number)


class Worker:
    """A worker of a submission in a fork of the helper, with what the sandbox uses of `subprocess.Popen`."""

    def __init__(self, helper: Helper, pid: int, stdout: int) -> None:
        self.pid = pid
        self.stdout = os.fdopen(stdout, "rb")
        self._helper = helper
        self._returncode: int | None = None

    def poll(self) -> int | None:
        """Returns the exit code, or None while the process runs."""
        if self._returncode is None:
            self._returncode = self._helper.ask({"poll": self.pid})
        return self._returncode

    def kill(self) -> None:
        """Kills the process unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> None:
        """Waits for the end."""
        wait_until(lambda: self.poll() is not None, "the end of a worker", pause_s=0.01)


class Helper:
    """A line to the process that forks; the block ends with the line.

    Args:
        folder: Folder of this process for what commands write.
        run: Folder of the whole test run, through which its processes find one helper.
    """

    def __init__(self, folder: Path, run: Path) -> None:
        self.folder, self._count = folder, 0
        self._line, self._process = _connect(run)

    def __enter__(self) -> Helper:
        return self

    def __exit__(self, *_: object) -> None:
        self._line.close()

    def ask(self, request: dict[str, Any], descriptors: Sequence[int] = ()) -> Any:
        """Returns the answer of the helper to a request."""
        socket.send_fds(self._line, [json.dumps(request).encode()], descriptors)
        return json.loads(self._line.recv(MESSAGE))

    def start_worker(self, command: Sequence[str], ends: Sequence[int], folder: Path, env: dict[str, str]) -> Worker:
        """Starts a worker with its three descriptors in place of the command that the sandbox would run."""
        from cloakbench.submissions.sandbox import launcher

        confinement = command[command.index(str(launcher.FILE)) + 1]
        output, theirs = os.pipe()
        try:
            pid = self.ask({"worker": str(folder), "variables": env, "confinement": confinement}, [*ends, theirs])
        finally:
            os.close(theirs)
        return Worker(self, pid, output)

    @contextlib.contextmanager
    def workers(self) -> Iterator[None]:
        """Makes the processes of submissions forks of the helper, without bubblewrap."""
        from cloakbench.submissions.sandbox import bubblewrap, running

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(bubblewrap, "kind", lambda: "process")
            patch.setattr(bubblewrap, "wall", lambda *_: [])
            patch.setattr(running, "_popen", self.start_worker)
            yield

    def start(self, *arguments: object, is_slowed: bool = False, **variables: str) -> Command:
        """Starts `cloakbench` with arguments and additional environment variables."""
        words = list(map(str, arguments))
        return self._start({"program": "cloakbench", "arguments": words, "slowed": is_slowed, "variables": variables})

    def start_pytest(self, *arguments: str, cwd: Path, **variables: str) -> Command:
        """Starts pytest in a folder, with no environment variables but these."""
        return self._start({"program": "pytest", "arguments": arguments, "cwd": str(cwd), "variables": variables})

    def _start(self, request: dict[str, Any]) -> Command:
        self._count += 1
        out, err = (self.folder / f"{self._count}.{name}" for name in ("out", "err"))
        return Command(self, self.ask({**request, "out": str(out), "err": str(err)}), out, err)


def _connect(run: Path) -> tuple[socket.socket, subprocess.Popen[bytes] | None]:
    """Returns a line to the helper of a test run, and the helper if it was not there yet and had to be started."""
    name = run / "helper.name"
    with FileLock(run / "helper.lock"):
        line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if name.exists() and _is_answered(line, f"\0{name.read_text()}"):
            return line, None
        line.close()
        line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # Linux keeps such an address beside the file system, where a path may have a hundred characters only.
        address = f"cloakbench-tests-{uuid.uuid4().hex}"
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(f"\0{address}")
        listener.listen()
        path = os.pathsep.join([roots.PYTHONPATH, os.environ.get("PYTHONPATH", "")])
        line.connect(f"\0{address}")
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.command_forks", str(listener.fileno())],
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            pass_fds=[listener.fileno()],
        )
        listener.close()
        name.write_text(address)
        return line, process


def _is_answered(line: socket.socket, address: str) -> bool:
    """Returns whether a helper answers at an address; one that is ending may still take the connection."""
    with contextlib.suppress(OSError):
        line.connect(address)
        line.send(json.dumps({"hello": True}).encode())
        return bool(line.recv(MESSAGE))
    return False


class Listener:
    """What the helper does: it takes new lines and answers the requests on them.

    Args:
        entrance: The socket at which the processes of the test run open their lines.
    """

    def __init__(self, entrance: socket.socket) -> None:
        self.entrance = entrance
        self.lines: dict[int, socket.socket] = {}
        self.ready = select.poll()
        self.ready.register(entrance, select.POLLIN)

    def next_task(self) -> tuple[dict[str, Any], list[int]]:
        """Returns, in the fork, the request that it is to carry out, and its descriptors.

        Ends the process when the last line is closed.
        """
        while True:
            for number, _ in self.ready.poll():
                if number == self.entrance.fileno():
                    line, _ = self.entrance.accept()
                    self.lines[line.fileno()] = line
                    self.ready.register(line, select.POLLIN)
                elif task := self._serve(number):
                    return task

    def _serve(self, number: int) -> tuple[dict[str, Any], list[int]] | None:
        """Answers one request on a line, or forgets a line that is closed; returns the task in a fork alone."""
        data, descriptors, _, _ = socket.recv_fds(self.lines[number], MESSAGE, 8)
        if not data:
            self.ready.unregister(number)
            self.lines.pop(number).close()
            if not self.lines:
                raise SystemExit
            return None
        request = json.loads(data)
        answer, is_fork = _answer(request)
        if is_fork:
            for line in (self.entrance, *self.lines.values()):
                line.close()
            return request, descriptors
        for descriptor in descriptors:
            os.close(descriptor)
        self.lines[number].send(json.dumps(answer).encode())
        return None


def _answer(request: dict[str, Any]) -> tuple[int | None, bool]:
    """Returns the answer to a request, and whether this process is the fork that carries it out.

    The answer is the process id of a new fork, or the exit code of an older one, None while it runs.
    """
    if "hello" in request:
        return None, False
    if "poll" in request:
        pid, status = os.waitpid(request["poll"], os.WNOHANG)
        return (os.waitstatus_to_exitcode(status) if pid else None), False
    pid = os.fork()
    return pid, pid == 0


def become(request: dict[str, Any]) -> None:
    """Gives this process the streams, variables and handling of interrupts of a program just started."""
    create = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    for number, name in enumerate((os.devnull, request["out"], request["err"])):
        descriptor = os.open(name, create if number else os.O_RDONLY)
        os.dup2(descriptor, number)
        os.close(descriptor)
    if request["program"] == "pytest":
        os.environ.clear()
        os.chdir(request["cwd"])
        sys.path.insert(0, request["cwd"])
    os.environ.update(request["variables"])
    # What runs the tests in the background may ignore SIGINT, which children inherit.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def become_worker(request: dict[str, Any], descriptors: Sequence[int]) -> None:
    """Gives this process the streams, variables, folder, session and confinement of a worker of the sandbox."""
    from cloakbench.submissions.sandbox import launcher

    orders, answers, report, output = descriptors
    os.setsid()
    null = os.open(os.devnull, os.O_RDONLY)
    for number, descriptor in enumerate((null, output, output)):
        os.dup2(descriptor, number)
    os.close(null)
    os.close(output)
    os.chdir(request["worker"])
    os.environ.clear()
    os.environ.update(request["variables"])
    sys.path[:0] = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path not in sys.path]
    importlib.invalidate_caches()
    launcher.confine(launcher.Confinement(**json.loads(request["confinement"])), report, [orders, answers])
    sys.argv = ["worker", str(orders), str(answers)]


def end(code: int) -> None:
    """Ends this process as the interpreter does, but for taking down the libraries, which takes a second."""
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def slow_down() -> None:
    """Pauses after each write of a record or of images."""
    from cloakbench.store.store import Store

    for name in ("write_record", "write_images"):
        setattr(Store, name, paused(getattr(Store, name)))


def paused(write: Any) -> Any:
    """Returns a function that does the same and then waits."""

    def wrapper(*arguments: Any) -> None:
        write(*arguments)
        time.sleep(PAUSE_S)

    return wrapper


if __name__ == "__main__":
    from cloakbench.system import cpu, imports  # noqa: F401 - before torch

    imports.skip_unused()  # as the command line does

    import torch

    from cloakbench import cli
    from cloakbench.cells import stages  # noqa: F401 - what a command imports late is imported before the forks
    from cloakbench.metrics import clips, perceptual  # noqa: F401
    from cloakbench.models import loader  # noqa: F401
    from cloakbench.runs import session  # noqa: F401
    from cloakbench.submissions import attacking  # noqa: F401
    from cloakbench.submissions.sandbox import worker
    from cloakbench.system import peak  # noqa: F401
    from cloakbench.upkeep import adopt, verify  # noqa: F401

    torch.set_num_threads(1)
    gc.freeze()
    task, given = Listener(socket.socket(fileno=int(sys.argv[1]))).next_task()
    if "worker" in task:
        become_worker(task, given)
        worker.main()
        end(0)
    else:
        become(task)
        try:
            if task["program"] == "pytest":
                raise SystemExit(pytest.main(task["arguments"]))
            if task["slowed"]:
                slow_down()
            cli.main(task["arguments"])
        except SystemExit as ended:
            end(int(ended.code or 0))
