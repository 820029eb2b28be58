"""The processes that a submission has started: finding them all, their memory, ending them."""

from __future__ import annotations

import contextlib
import os

import psutil

MARK = "CLOAKBENCH_BOX"
"""Environment variable by which a box's processes are recognised when none is the harness's child any more."""
ROUNDS = 50
"""How often a family is looked up again before what still starts new processes is given up."""


def family(pid: int) -> list[psutil.Process]:
    """Returns a process and its descendants, those that have ended but for their exit code left out."""
    members: list[psutil.Process] = []
    with contextlib.suppress(psutil.Error, ValueError):
        parent = psutil.Process(pid)
        members = [parent, *parent.children(recursive=True)]
    return [process for process in members if _runs(process)]


def marked(mark: str) -> list[psutil.Process]:
    """Returns the running processes that carry the mark in their environment."""
    return [process for process in psutil.process_iter() if _carries(process, mark) and _runs(process)]


def _carries(process: psutil.Process, mark: str) -> bool:
    try:
        return bool(process.pid != os.getpid() and process.environ().get(MARK) == mark)
    except (psutil.Error, OSError):
        return False


def memory(processes: list[psutil.Process]) -> int:
    """Returns the resident bytes of processes together; memory that they share counts once for each."""
    total = 0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            total += process.memory_info().rss
    return total


def busy(processes: list[psutil.Process]) -> float:
    """Returns the processor seconds of running processes, and of those that they have started and awaited."""
    seconds = 0.0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            seconds += sum(process.cpu_times()[:4])
    return seconds


def end(pid: int | None, mark: str) -> None:
    """Kills a family, and every other process that carries its mark.

    All are stopped before any is killed, so that none starts another meanwhile. The first process goes last: as long as
    it lives, those whose parents have ended become its children.

    Args:
        pid: The family's first process; None where it has ended.
        mark: The box's mark.
    """
    if pid is not None:
        _end_descendants(pid)
        _kill(family(pid))
    for _ in range(ROUNDS):
        others = marked(mark)
        if not others:
            return
        _kill(others)


def _end_descendants(pid: int) -> None:
    for _ in range(ROUNDS):
        descendants = family(pid)[1:]
        if not descendants:
            return
        _stop_all(pid)
        _kill(family(pid)[1:])


def _stop_all(pid: int) -> None:
    stopped: set[int] = set()
    for _ in range(ROUNDS):
        running = [process for process in family(pid)[1:] if process.pid not in stopped]
        if not running:
            return
        for process in running:
            stopped.add(process.pid)
            with contextlib.suppress(psutil.Error):
                process.suspend()


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(processes, timeout=1)


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
