"""The parent of a worker inside the box: it keeps the whole family together, so that all of it can be ended."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NoReturn

from cloakbench.submissions.sandbox import kernel


def supervise(report: int, unused: Sequence[int]) -> None:
    """Forks; returns in the child, which becomes the worker. The parent stays until it has no children any more.

    A child of the worker that leaves its session, or whose parent ends, becomes a child of the supervisor. When the
    worker ends, the supervisor writes its exit code as one line to `report`: negative for a signal.

    Args:
        report: File descriptor to write the exit code to. The worker has to close it before any code of a submission
            runs.
        unused: File descriptors that only the worker uses.
    """
    kernel.adopt_orphans()
    kernel.set_dumpable(is_dumpable=False)  # so that the supervisor's end of the pipe stays its own
    worker = os.fork()
    if worker == 0:
        kernel.set_dumpable(is_dumpable=True)
        return
    for descriptor in unused:
        os.close(descriptor)
    _wait(worker, report)


def _wait(worker: int, report: int) -> NoReturn:
    while True:
        try:
            ended, status = os.wait()
        except ChildProcessError:
            os._exit(0)
        if ended == worker:
            os.write(report, f"{os.waitstatus_to_exitcode(status)}\n".encode())
            os.close(report)
