"""Commands in processes of their own that start at once: a helper imports the libraries, and forks for each command.

Importing the models' libraries takes seconds, longer than a run of the tiny suite. The helper runs no command itself.
A fork leaves the helper's loop and goes on as a program that was started with the command's arguments, so that it ends
as such a program does.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests import roots

PATIENCE_S = 300
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


class Helper:
    """The process that forks; ends with the block."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._count = folder, 0
        path = os.pathsep.join([roots.PYTHONPATH, os.environ.get("PYTHONPATH", "")])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.command_forks"],
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Helper:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE_S)

    def ask(self, request: dict[str, Any]) -> Any:
        """Returns the answer of the helper to a request."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def start(self, *arguments: object, is_slowed: bool = False, **variables: str) -> Command:
        """Starts `cloakbench` with arguments and additional environment variables."""
        self._count += 1
        out, err = (self.folder / f"{self._count}.{name}" for name in ("out", "err"))
        request = {
            "arguments": list(map(str, arguments)), "slowed": is_slowed, "variables": variables, "out": str(out),
            "err": str(err),
        }  # fmt: skip
        return Command(self, self.ask(request), out, err)


def next_command() -> dict[str, Any]:
    """Answers requests, and returns the one that a fork is to carry out: in the fork."""
    for line in sys.stdin:
        request = json.loads(line)
        if "poll" in request:
            pid, status = os.waitpid(request["poll"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        else:
            answer = os.fork()
            if answer == 0:
                return request
        print(json.dumps(answer), flush=True)
    raise SystemExit


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
    from cloakbench.models import loader  # noqa: F401
    from cloakbench.runs import session  # noqa: F401
    from cloakbench.upkeep import adopt, verify  # noqa: F401

    torch.set_num_threads(1)
    task = next_command()
    become(task)
    if task["slowed"]:
        slow_down()
    cli.main(task["arguments"])
