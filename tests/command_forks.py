"""Commands, and workers of submissions, in processes of their own that start at once: forks of a helper.

Importing the models' libraries takes seconds, longer than a run of the tiny suite. The helper imports them once and
runs nothing itself. A fork leaves the helper's loop and goes on as a program that was started with its arguments, so
that it ends as such a program does. A worker that is a fork confines itself as one without bubblewrap does; tests of
how a worker starts, and of its walls, start a program.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests import roots

PATIENCE_S = 600
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
        until = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > until:
                self.send_signal(signal.SIGKILL)
                raise TimeoutError(f"expected an end within {timeout} s")
            time.sleep(0.02)
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
        while self.poll() is None:
            time.sleep(0.01)


class Helper:
    """The process that forks; ends with the block."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._count = folder, 0
        path = os.pathsep.join([roots.PYTHONPATH, os.environ.get("PYTHONPATH", "")])
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.command_forks", str(theirs.fileno())],
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            pass_fds=[theirs.fileno()],
        )
        theirs.close()

    def __enter__(self) -> Helper:
        return self

    def __exit__(self, *_: object) -> None:
        self._line.close()
        self._process.wait(PATIENCE_S)

    def ask(self, request: dict[str, Any], descriptors: Sequence[int] = ()) -> Any:
        """Returns the answer of the helper to a request."""
        socket.send_fds(self._line, [json.dumps(request).encode()], descriptors)
        return json.loads(self._line.recv(MESSAGE))

    def start_worker(self, _command: object, ends: Sequence[int], folder: Path, env: dict[str, str]) -> Worker:
        """Starts a worker with its three descriptors in place of the command that the sandbox would run."""
        output, theirs = os.pipe()
        try:
            pid = self.ask({"worker": str(folder), "variables": env}, [*ends, theirs])
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
        self._count += 1
        out, err = (self.folder / f"{self._count}.{name}" for name in ("out", "err"))
        request = {
            "arguments": list(map(str, arguments)), "slowed": is_slowed, "variables": variables, "out": str(out),
            "err": str(err),
        }  # fmt: skip
        return Command(self, self.ask(request), out, err)


def next_task(line: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Answers requests; returns the one that a fork is to carry out, with its descriptors: in the fork."""
    while True:
        data, descriptors, _, _ = socket.recv_fds(line, MESSAGE, 8)
        if not data:
            raise SystemExit
        request = json.loads(data)
        if "poll" in request:
            pid, status = os.waitpid(request["poll"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        else:
            answer = os.fork()
            if answer == 0:
                line.close()
                return request, descriptors
        for descriptor in descriptors:
            os.close(descriptor)
        line.send(json.dumps(answer).encode())


def become(request: dict[str, Any]) -> None:
    """Gives this process the streams, variables and handling of interrupts of a program just started."""
    create = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    for number, name in enumerate((os.devnull, request["out"], request["err"])):
        descriptor = os.open(name, create if number else os.O_RDONLY)
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.update(request["variables"])
    # What runs the tests in the background may ignore SIGINT, which children inherit.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def become_worker(request: dict[str, Any], descriptors: Sequence[int]) -> None:
    """Gives this process the streams, variables, folder and session of a worker that the sandbox starts."""
    *ends, output = descriptors
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
    sys.argv = ["worker", *map(str, ends)]


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
    task, given = next_task(socket.socket(fileno=int(sys.argv[1])))
    if "worker" in task:
        become_worker(task, given)
        worker.main()
        end(0)
    else:
        become(task)
        if task["slowed"]:
            slow_down()
        try:
            cli.main(task["arguments"])
        except SystemExit as ended:
            end(int(ended.code or 0))
