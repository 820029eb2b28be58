"""A started worker process with its pipes: every wait has one deadline and checks the limits."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import re
import select
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
from pydantic import ValidationError

from cloakbench.images import Pixels
from cloakbench.schemas.kinds import Status
from cloakbench.submissions.guard import HINTS, SubmissionFault
from cloakbench.submissions.sandbox import launcher, messages, processes
from cloakbench.submissions.sandbox.messages import Answer
from cloakbench.submissions.text import clean_lines

LOOK_EVERY_S = 0.2
DISMISSED_S = 30.0
"""How long an idle process may take to end: its libraries take a second or two, many more on a busy machine."""
KEPT_OUTPUT = 200
"""Lines of a submission's own output that are kept for its traceback."""
_EXIT_CODE = re.compile(rb"-?[0-9]{1,4}")
_PART = 1 << 20
"""Bytes that are written or read at once, and the size that pipes get where the system allows."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one call may use; beyond it the process ends and the call has failed."""

    seconds: float = 3600.0
    memory_bytes: int = 32 << 30
    processes: int = 64
    file_bytes: int = 4 << 30
    """Largest file that may be written; under bubblewrap all files together."""


class RunningWorker:
    """A worker process, its supervisor, and the pipes to the worker.

    `most_bytes` is the most memory that it was seen to use. Methods that wait raise SubmissionFault: TIMEOUT after the
    deadline, OOM above the memory limit, FAILED for too many processes, for an answer that is none, and where the
    process has ended.
    """

    def __init__(self, command: Callable[[int, int, int], Sequence[str]], folder: Path, env: dict[str, str]) -> None:
        """Starts the process.

        Args:
            command: Returns the command for the descriptors of orders, answers and reports.
            folder: Where it starts.
            env: Its environment variables, the box's mark among them.
        """
        self._mark = env[processes.MARK]
        self._overhead = 1
        self._output: deque[bytes] = deque(maxlen=KEPT_OUTPUT)
        self._limits, self._deadline, self._next_look = Limits(), 0.0, 0.0
        self._exit_code: int | None = None
        self._members: list[psutil.Process] = []
        self.most_bytes = 0
        orders, self._orders = os.pipe()
        self._answers, answers = os.pipe()
        self._report, report = os.pipe()
        ends = [orders, answers, report]
        try:
            self._process = _popen(command(*ends), ends, folder, env)
        except OSError:
            self._close()
            raise
        finally:
            for descriptor in ends:
                os.close(descriptor)
        _prepare([self._orders, self._answers])
        threading.Thread(target=self._drain, daemon=True).start()

    def set_overhead(self, count: int) -> None:
        """Returns how many processes belong to the box in addition to the worker."""
        self._overhead = count

    def busy_s(self) -> float:
        """Returns the processor seconds of the box's first processes, as the system measures them."""
        self._members = self._members or self.family()
        return processes.busy(self._members)

    def _drain(self) -> None:
        """Reads what the submission prints, so that a full pipe never stops it; the last lines are kept."""
        stream = self._process.stdout
        while stream is not None and (line := stream.readline(1000)):
            self._output.append(line)

    def walls(self, limits: Limits) -> list[str]:
        """Returns which of the kernel's restrictions hold, as the launcher reports before it becomes the worker."""
        self._limits, self._deadline = limits, time.monotonic() + limits.seconds
        self._wait(self._report, select.POLLIN)
        reported = os.read(self._report, len(launcher.WALLS))
        if len(reported) < len(launcher.WALLS):
            raise self._ended()
        return list(itertools.compress(launcher.WALLS, reported))

    def ask(self, order: bytes, images: Sequence[Pixels], limits: Limits) -> Answer:
        """Sends an order with images and returns the answer, within `limits`; the deadline holds until the next order.

        Args:
            order: The order as a frame.
            images: Images whose pixels follow it.
            limits: What the process may use until it has answered.
        """
        self._limits, self._deadline = limits, time.monotonic() + limits.seconds
        self._send(order)
        for pixels in images:
            self._send(np.ascontiguousarray(pixels).data.cast("B"))
        return self._receive_answer()

    def receive_images(self, originals: Sequence[Pixels]) -> list[Pixels]:
        """Returns the images that follow an answer: as many, and of the same shapes, as the originals."""
        images = [np.empty(original.shape, np.uint8) for original in originals]
        for pixels in images:
            self._receive(pixels.data.cast("B"))
        return images

    def _send(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        while view:
            self._wait(self._orders, select.POLLOUT)
            try:
                view = view[os.write(self._orders, view[:_PART]) :]
            except BlockingIOError:  # the pipe has less room than a page
                continue
            except BrokenPipeError as error:
                raise self._ended() from error

    def _receive_answer(self) -> Answer:
        head = bytearray(messages.LENGTH.size)
        self._receive(memoryview(head))
        (length,) = messages.LENGTH.unpack(head)
        if length > messages.LONGEST:
            raise self.no_answer(f"a message of {length} bytes")
        body = bytearray(length)
        self._receive(memoryview(body))
        try:
            return Answer.model_validate_json(bytes(body))
        except (ValidationError, RecursionError) as error:
            raise self.no_answer(repr(bytes(body[:80]))) from error

    def _receive(self, target: memoryview) -> None:
        while target:
            self._wait(self._answers, select.POLLIN)
            try:
                count = os.readv(self._answers, [target[:_PART]])
            except BlockingIOError:
                continue
            if count == 0:
                raise self._ended()
            target = target[count:]

    def _wait(self, descriptor: int, event: int) -> None:
        """Returns when a pipe is ready; checks the deadline each time and the limits every `LOOK_EVERY_S`."""
        while True:
            self._look()
            poll = select.poll()
            poll.register(descriptor, event)
            if self._exit_code is None:
                poll.register(self._report, select.POLLIN)
            ready = {number for number, _ in poll.poll(LOOK_EVERY_S * 1000)}
            if descriptor in ready:
                return
            if self._report in ready or self._exit_code is not None:
                raise self._ended()

    def _look(self) -> None:
        now = time.monotonic()
        if now > self._deadline:
            raise self.fault(Status.TIMEOUT, f"expected an end within {self._limits.seconds:g} s, got none")
        if now < self._next_look:
            return
        self._next_look = now + LOOK_EVERY_S
        family = self.family()
        count = len(family) - self._overhead
        if count > self._limits.processes:
            raise self.fault(Status.FAILED, f"expected at most {self._limits.processes} processes, got {count}")
        used = processes.memory(family)
        self.most_bytes = max(self.most_bytes, used)
        if used > self._limits.memory_bytes:
            allowed = f"{self._limits.memory_bytes / 2**20:.0f} MiB"
            raise self.fault(Status.OOM, f"expected at most {allowed} of memory, got {used / 2**20:.0f} MiB")

    def family(self) -> list[psutil.Process]:
        """Returns the running processes of the box."""
        return processes.family(self._process.pid)

    def is_alone(self) -> bool:
        """Whether the worker is alive and has started nothing that is still there."""
        return self._process.poll() is None and len(self.family()) == self._overhead + 1

    def _ended(self) -> SubmissionFault:
        code = self._read_exit_code(LOOK_EVERY_S)
        if code is None:
            ending = "closed its pipe"
        else:
            ending = f"was ended by signal {-code}" if code < 0 else f"ended itself with exit code {code}"
        return self.fault(Status.FAILED, f"expected protected images, got a process that {ending}")

    def _read_exit_code(self, seconds: float) -> int | None:
        """Returns how the worker ended: its exit code, minus a signal's number; None where it runs after `seconds`."""
        if self._exit_code is None and select.select([self._report], [], [], seconds)[0]:
            text = os.read(self._report, 16).strip()
            # Empty where the supervisor was killed; what the worker wrote there through /proc is no number.
            self._exit_code = int(text) if _EXIT_CODE.fullmatch(text) else -signal.SIGKILL
        return self._exit_code

    def no_answer(self, got: str) -> SubmissionFault:
        """Returns the fault of a process that answers something else than an answer."""
        return self.fault(Status.FAILED, f"expected an answer of the worker, got {got}")

    def fault(self, status: Status, message: str) -> SubmissionFault:
        """Returns a fault with the last lines that the process has printed."""
        printed = b"".join(list(self._output)).decode(errors="replace")[-4000:]
        return SubmissionFault(status, message, HINTS[status], clean_lines(printed))

    def dismiss(self) -> None:
        """Lets an idle worker end by itself, so that what is left then is what it has not ended."""
        with contextlib.suppress(OSError):
            os.close(self._orders)
        self._orders = -1
        self._read_exit_code(DISMISSED_S)

    def end(self) -> int:
        """Kills the whole family; returns how many processes other than the worker were still there."""
        own = self._overhead + (0 if self._exit_code is not None else 1)
        remaining = max(0, len(self.family()) - own)
        processes.end(self._process.pid, self._mark)
        self._process.kill()
        self._process.wait()
        self._close()
        return remaining

    def _close(self) -> None:
        for descriptor in (self._orders, self._answers, self._report):
            if descriptor >= 0:
                os.close(descriptor)
        self._orders = self._answers = self._report = -1


def _popen(command: Sequence[str], ends: Sequence[int], folder: Path, env: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - our own worker, no shell
        command,
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=ends,
        start_new_session=True,
    )


def _prepare(descriptors: Sequence[int]) -> None:
    """Makes pipes non-blocking and large."""
    for descriptor in descriptors:
        os.set_blocking(descriptor, False)
        with contextlib.suppress(OSError):  # a system may allow less
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PART)
