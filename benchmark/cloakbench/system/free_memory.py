"""How much memory this process can still take, and allocations that fail beyond it.

Without a bound, Linux ends a process that takes more than there is, and the process can't say why.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

SHARE = 0.9
"""Of the free memory; the rest stays for other programs and for files."""
_PROCESS = Path("/proc/self/cgroup")
_GROUPS = Path("/sys/fs/cgroup")


def free_bytes() -> int:
    """Returns how many bytes are free: of the machine, or of this process's control group where that has fewer."""
    free = int(psutil.virtual_memory().available)
    for group in _memory_groups():
        limit = _number(group, "memory.max", "memory.limit_in_bytes")
        used = _number(group, "memory.current", "memory.usage_in_bytes")
        if limit is not None and used is not None:
            free = min(free, max(0, limit - used + _cached(group)))
    return free


@contextmanager
def bounded() -> Iterator[None]:
    """Makes allocations beyond the free memory fail while the context lasts: torch and Python then raise an error.

    Bounds the data of this process, so memory of a GPU does not count. Changes nothing where the system is not Linux.
    """
    data = getattr(psutil.Process().memory_info(), "data", None)
    if data is None:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limits = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min([*limits, data + int(SHARE * free_bytes())]), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _memory_groups() -> Iterator[Path]:
    """Yields the folders of the control groups that may limit this process's memory, of both versions of the kernel."""
    try:
        lines = _PROCESS.read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        root = _GROUPS / controllers
        group = root / path.lstrip("/")
        yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(root))


def _number(group: Path, *names: str) -> int | None:
    """Returns the number in the first of the files that holds one; None where there is none, or no limit."""
    for name in names:
        try:
            return int((group / name).read_text(encoding="ascii"))
        except (OSError, ValueError):  # absent, or `max`
            continue
    return None


def _cached(group: Path) -> int:
    """Returns the bytes of files that a group counts as used, and gives back when they are needed."""
    try:
        lines = (group / "memory.stat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    for line in lines:
        name, _, count = line.partition(" ")
        if name in ("file", "cache"):  # the names of version 2 and 1
            return int(count)
    return 0
