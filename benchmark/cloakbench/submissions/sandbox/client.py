"""Runs a submission in a process of its own: scrubbed environment, limits, a folder of its own, PNG and JSON only.

Under bubblewrap it has no network and a read-only file system; without it an audit hook refuses what Python code tries.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from cloakbench import images
from cloakbench.errors import InfrastructureError, SubmissionError, UserError
from cloakbench.images import Pixels
from cloakbench.schemas.kinds import Status
from cloakbench.submissions import discovery, environments, guard, naming
from cloakbench.submissions.guard import Order, Protected, SubmissionFault
from cloakbench.submissions.loading import Claims
from cloakbench.submissions.sandbox import bubblewrap, folders, processes

LOOK_EVERY_S = 0.2
DISMISSED_S = 30.0
"""How long an idle process may take to end: its libraries take a second or two, many more on a busy machine."""
MOST = 2**60  # above any seconds and bytes that a process can have used
KEPT_OUTPUT = 200  # lines of a submission's own output that are kept for its traceback


@dataclass(frozen=True, slots=True)
class Limits:
    """What one call may use; beyond it the process ends and the call has failed."""

    seconds: float = 3600.0
    memory_bytes: int = 32 << 30
    processes: int = 64


@dataclass(frozen=True, slots=True)
class SurrogateChoice:
    """Which surrogate a worker loads: alias or folder, device, precision, and the suite's perceptual distance."""

    alias: str
    device: str
    dtype: str
    perceptual: str = "mini-lpips"

    @classmethod
    def at(cls, alias: str, device: str, dtype: str, perceptual: str = "mini-lpips") -> SurrogateChoice:
        """Returns the model with a folder's whole path, because a worker has a folder of its own."""
        return cls(str(Path(alias).absolute()) if Path(alias).is_dir() else alias, device, dtype, perceptual)


class SandboxedSubmission:
    """One submission's process, started when it is first asked and again after it has died.

    Use it as a context manager: leaving it ends the process with everything that it has started. `attempts` says what
    its Python code was refused, `left_behind` how many processes of its own it had not ended, `peak_bytes` its memory,
    `busy_s` the processor's seconds of the last order.
    """

    def __init__(
        self, spelling: str, limits: Limits | None = None, threads: int = 1, hidden: Sequence[Path] = ()
    ) -> None:
        self.spelling = spelling
        self.limits = limits or Limits()
        self.attempts: list[str] = []
        self.left_behind = 0
        self.peak_bytes = 0
        self.busy_s = 0.0
        self._threads = threads
        self._hidden = [folder.absolute() for folder in hidden]
        self._python = _interpreter(spelling)
        self._running: _Running | None = None
        self._box: folders.ScratchFolder | None = None
        self._calls = 0

    @property
    def isolation(self) -> str:
        """`bubblewrap`, or `process` where it is not installed; and whether an environment of its own."""
        return f"{bubblewrap.kind()}, own environment" if self._python != Path(sys.executable) else bubblewrap.kind()

    def __enter__(self) -> SandboxedSubmission:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process and removes its folder."""
        if self._running is not None:
            self._running.dismiss()
        self._end()
        if self._box is not None:
            self._box.close()
            self._box = None

    def load(self) -> Claims:
        """Returns what the protection says about itself; raises UserError or SubmissionError as loading does."""
        return Claims.model_validate(self._started())

    def protect(self, originals: Sequence[Pixels], order: Order, model: SurrogateChoice | None = None) -> Protected:
        """Returns the protected images, checked here on the PNGs that came back.

        Raises SubmissionFault where the protection fails, breaks its contract, or uses more than its limits.
        """
        claims = self.load()
        self._calls += 1
        folder = self._folder() / f"call-{self._calls}"
        (folder / "in").mkdir(parents=True)
        for number, pixels in enumerate(originals):
            (folder / "in" / f"{number:04d}.png").write_bytes(images.encode(pixels))
        asked = {"folder": folder.name, "model": asdict(model) if model else None, "call": asdict(order)}
        try:
            self._ask("protect", asked)
            pngs = [_read(folder / "out" / f"{n:04d}.png", pixels) for n, pixels in enumerate(originals)]
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return guard.accept(originals, pngs, order, claims.budget)

    def _folder(self) -> Path:
        if self._box is None:
            self._box = folders.ScratchFolder()
        return self._box.path

    def _started(self) -> dict[str, Any]:
        if self._running is None:
            self._running = _Running(self._folder(), self._hidden, self._python)
            asked = {"spelling": self.spelling, "threads": self._threads, "hidden": [str(f) for f in self._hidden]}
            self._running.claims = self._ask("load", asked)
        return self._running.claims

    def _ask(self, what: str, asked: dict[str, Any]) -> dict[str, Any]:
        running = self._running
        if running is None:
            raise ValueError("the worker has not been started")
        try:
            answer = running.answer({"do": what, **asked}, self.limits)
        except SubmissionFault:
            self._end()
            raise
        except BaseException:  # interrupted: nothing of it may go on
            self._end()
            raise
        self.attempts = answer["attempts"]
        self.peak_bytes, self.busy_s = answer["peak_bytes"], answer["busy_s"]
        if "fault" in answer:
            if what == "load":
                self._end()
            _raise(answer["fault"])
        found: dict[str, Any] = answer["found"]
        return found

    def _end(self) -> None:
        if self._running is not None:
            self.left_behind += self._running.end()
            self._running = None


class _Running:
    """A started process with its pipes."""

    def __init__(self, box: Path, hidden: Sequence[Path], python: Path) -> None:
        self.claims: dict[str, Any] = {}
        self._mark = box.name
        answers, theirs = os.pipe()
        command = [str(python), "-m", "cloakbench.submissions.sandbox.worker", str(theirs)]
        (box / "tmp").mkdir(exist_ok=True)
        with contextlib.ExitStack() as stack:
            stack.callback(os.close, theirs)
            self._process = subprocess.Popen(  # noqa: S603 - our own worker, no shell
                [*bubblewrap.wall(box, hidden), *command],
                cwd=box,
                env=bubblewrap.environment(box, is_own=python != Path(sys.executable)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs],
                start_new_session=True,
            )
        self._answers = os.fdopen(answers, "rb", buffering=0)
        self._said: deque[bytes] = deque(maxlen=KEPT_OUTPUT)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        """Drains what the submission prints, so that a full pipe never stops it; the last lines are kept."""
        out = self._process.stdout
        while out is not None and (line := out.readline(1000)):
            self._said.append(line)

    def answer(self, order: dict[str, Any], limits: Limits) -> dict[str, Any]:
        """Returns the answer to an order; raises SubmissionFault where there is none within the limits."""
        if self._process.stdin is None:
            raise InfrastructureError("expected a pipe to the submission's process, got none", "Run it again.")
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
        line = self._line(time.monotonic() + limits.seconds, limits)
        try:
            found: dict[str, Any] = json.loads(line)
            tried, peak = [str(a)[:200] for a in found["attempts"]], int(found["peak_bytes"])
            busy = float(found["busy_s"])
            if not (0 <= busy < MOST and 0 <= peak < MOST):  # a claim, but no number that a board could stumble over
                raise ValueError("cost")
            return {**found, "attempts": tried, "peak_bytes": peak, "busy_s": busy}
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            raise self._fault(Status.FAILED, f"expected an answer of the worker, got {line[:80]!r}") from error

    def _line(self, until: float, limits: Limits) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            if select.select([self._answers], [], [], LOOK_EVERY_S)[0]:
                part = self._answers.read(1 << 16)
                if not part:
                    raise self._fault(Status.FAILED, f"expected protected images, got a process that {self._ending()}")
                line += part
            else:
                self._look(until, limits)
        return line

    def _look(self, until: float, limits: Limits) -> None:
        if time.monotonic() > until:
            raise self._fault(Status.TIMEOUT, f"expected an end within {limits.seconds:g} s, got none")
        family = processes.family(self._process.pid, self._mark)
        if len(family) > limits.processes:
            raise self._fault(Status.FAILED, f"expected at most {limits.processes} processes, got {len(family)}")
        used = processes.memory(family)
        if used > limits.memory_bytes:
            allowed = f"{limits.memory_bytes / 2**20:.0f} MiB"
            raise self._fault(Status.OOM, f"expected at most {allowed} of memory, got {used / 2**20:.0f} MiB")

    def _ending(self) -> str:
        code = self._process.wait()
        signal = -code if code < 0 else code - 128  # bubblewrap reports its child's signal as shells do
        return f"was ended by signal {signal}" if signal > 0 else f"ended itself with exit code {code}"

    def _fault(self, status: Status, message: str) -> SubmissionFault:
        said = b"".join(self._said).decode(errors="replace")[-4000:]
        return SubmissionFault(status, message, guard.HINTS[status], said)

    def dismiss(self) -> None:
        """Lets an idle process end by itself, so that what is left then is what it has not ended."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(DISMISSED_S)

    def end(self) -> int:
        """Kills the process and what it has started; returns how many others than itself were there."""
        left = processes.end(self._process.pid, self._mark)
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._answers):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        return left


def _interpreter(spelling: str) -> Path:
    """Returns the Python that a protection runs with: ours, unless it has an environment of its own."""
    try:
        offer = discovery.find(naming.parse(spelling).name)
    except UserError:  # told when it is loaded
        return Path(sys.executable)
    return environments.python(offer.distribution)


def _read(path: Path, original: Pixels) -> bytes:
    """Returns a PNG of the submission's folder: no link, no larger than such an image can be."""
    most = original.nbytes * 2 + (1 << 16)
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        message = f"expected a protected image {path.name}, got {type(error).__name__}"
        raise SubmissionFault(Status.INVALID_OUTPUT, message, guard.HINTS[Status.INVALID_OUTPUT]) from error
    if len(data) > most:
        message = f"expected a PNG of at most {most} bytes, got more"
        raise SubmissionFault(Status.INVALID_OUTPUT, message, guard.HINTS[Status.INVALID_OUTPUT])
    return data


def _raise(fault: dict[str, str]) -> NoReturn:
    message, hint = str(fault["message"]), str(fault["hint"])
    if fault["status"] in {str(s) for s in guard.HINTS}:
        raise SubmissionFault(Status(fault["status"]), message, hint, str(fault["traceback"]))
    if fault["kind"] == "UserError":
        raise UserError(message, hint)
    raise SubmissionError(message, hint)
