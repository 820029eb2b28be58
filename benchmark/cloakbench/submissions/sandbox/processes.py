"""The processes that a submission has started: finding them all, their memory, ending them."""

from __future__ import annotations

import contextlib
import os

import psutil

MARK = "CLOAKBENCH_BOX"
"""Environment variable by which a worker's descendants are known even when nobody is their parent any more."""


def family(pid: int | None, mark: str) -> list[psutil.Process]:
    """Returns a worker's process, its descendants, its session and whoever carries its mark; these without `pid`."""
    found: dict[int, psutil.Process] = {}
    with contextlib.suppress(psutil.Error, ValueError):
        worker = psutil.Process(-1 if pid is None else pid)
        found = {p.pid: p for p in [worker, *worker.children(recursive=True)]}
    for process in psutil.process_iter():
        if process.pid not in found and _belongs(process, pid, mark):
            found[process.pid] = process
    return [p for p in found.values() if p.pid != os.getpid()]


def _belongs(process: psutil.Process, session: int | None, mark: str) -> bool:
    try:
        return os.getsid(process.pid) == session or process.environ().get(MARK) == mark
    except (psutil.Error, OSError):
        return False


def memory(processes: list[psutil.Process]) -> int:
    """Returns the resident bytes of processes together; memory that they share counts once for each."""
    total = 0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            total += process.memory_info().rss
    return total


def end(pid: int | None, mark: str) -> int:
    """Kills a worker with all that it left behind; returns how many others than the worker were still there.

    Without `pid` the worker is gone already, and what carries its mark is killed.
    """
    left: set[int] = set()
    for _ in range(20):  # a storm may start new ones between looking and killing
        alive = [p for p in family(pid, mark) if _runs(p)]
        if not alive:
            break
        left |= {p.pid for p in alive}
        for process in alive:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(alive, timeout=1)
    return len(left - {pid})


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
