"""Folders for files from outside, each locked by the process that made it, so that leftovers can be recognised.

A harness that is killed leaves such folders behind, and perhaps processes. The lock goes with its holder, so that the
next start can remove them: those of other users, of running harnesses and of other programs stay.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path

from cloakbench.submissions.sandbox import processes

PREFIX = "cloakbench-box-"
SETTLED_S = 60.0
"""A younger folder may be one whose maker has not locked it yet."""


class ScratchFolder:
    """A new folder, locked until it is closed; a context manager."""

    def __init__(self) -> None:
        sweep()
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
        self._lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        with contextlib.suppress(OSError):  # a network file system may not lock folders: such a folder is never removed
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def __enter__(self) -> ScratchFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Removes the folder."""
        _remove(self.path)
        os.close(self._lock)


@cache
def sweep() -> int:
    """Removes folders that killed harnesses left, once per process; returns their number."""
    return sum(_is_gone(folder) for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"))


def _is_gone(folder: Path) -> bool:
    """Removes a folder that no process has locked, and ends the processes that were started in it."""
    with contextlib.suppress(OSError):  # it is another user's, or somebody else removes it just now
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            facts = os.fstat(handle)
            if facts.st_uid != os.getuid() or time.time() - facts.st_ctime < SETTLED_S:
                return False
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            processes.end(None, folder.name)
            _remove(folder)
            return True
        finally:
            os.close(handle)
    return False


def _remove(folder: Path) -> None:
    """Removes a folder as far as it can be. Not by `shutil.rmtree`, which fails below a thousand folders in a row."""
    with contextlib.suppress(OSError):  # no process can be started: the next start removes it
        subprocess.run(["rm", "-rf", "--", str(folder)], stderr=subprocess.DEVNULL, check=False)  # noqa: S603, S607 - ours
