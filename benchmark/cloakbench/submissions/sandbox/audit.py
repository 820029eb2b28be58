"""What a submission's Python code may touch: an audit hook that refuses the rest and notes what was tried.

It protects against accidents, not against intent: Python code can switch it off, native code and other programs pass
by it. It names what was tried in words that a person can follow; what holds is bubblewrap, or Landlock and seccomp.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cloakbench.submissions.text import clean_line

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGING = {"os.remove": 1, "os.rmdir": 1, "os.mkdir": 1, "os.truncate": 1, "os.chmod": 1, "os.chown": 1,
             "os.rename": 2, "os.link": 2, "os.symlink": 2, "shutil.rmtree": 1, "shutil.move": 2}  # fmt: skip
"""Audit events that change files -> how many of their first arguments are paths."""
_NETWORK = (
    "socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.sendmsg",
)  # fmt: skip
_OBSERVED = {
    "subprocess.Popen": "started", "os.system": "started", "os.exec": "became", "os.posix_spawn": "started",
    "os.spawn": "started", "os.fork": "forked", "os.forkpty": "forked", "pty.spawn": "started",
    "ctypes.dlopen": "loaded native code",
}  # fmt: skip
"""Audit events that are allowed and noted, because what they start passes by the hook."""
MOST, LONGEST = 20, 200
"""Attempts and observations that are kept of each, and characters of one."""


class AuditHook:
    """Refuses network, changes outside `allowed` folders and reading in `hidden` ones.

    `attempts` says what was refused, `observed` what was allowed although it may pass by the hook.
    """

    def __init__(self, allowed: Sequence[Path], hidden: Sequence[Path] = ()) -> None:
        self._allowed = tuple(os.path.realpath(folder) for folder in (*map(str, allowed), os.devnull))
        self._hidden = tuple(os.path.realpath(str(folder)) for folder in hidden)
        self._is_active = True
        self.attempts: list[str] = []
        self.observed: list[str] = []

    def install(self) -> None:
        """Adds the hook to the interpreter, which can't remove one again."""
        sys.addaudithook(self._audit)

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Lets the harness's own code through: loading a model opens sockets and caches without meaning harm."""
        self._is_active = False
        try:
            yield
        finally:
            self._is_active = True

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._is_active:
            return
        if event == "open":
            self._opening(*arguments)
        elif event in _CHANGING:
            for path in arguments[: _CHANGING[event]]:
                if not self._inside(path, self._allowed):
                    self._refuse(f"{event} {os.fsdecode(path) if isinstance(path, bytes) else path}")
        elif event in _NETWORK and not _is_harmless(event, arguments):
            self._refuse(f"{event} {_describe(arguments)}")
        elif event in _OBSERVED:
            _note(self.observed, f"{_OBSERVED[event]} {_describe(arguments[:1])}".strip())

    def _opening(self, path: object, mode: object, flags: int) -> None:
        if isinstance(path, int):  # a file that is open already
            return
        writes = bool(flags & _WRITING) or (isinstance(mode, str) and any(c in mode for c in "wax+"))
        if writes and not self._inside(path, self._allowed):
            self._refuse(f"write {path!s}")
        elif self._hidden and self._inside(path, self._hidden):
            self._refuse(f"read {path!s}")

    def _inside(self, path: object, folders: Sequence[str]) -> bool:
        if isinstance(path, int):
            return True
        real = os.path.realpath(os.fsdecode(path)) if isinstance(path, (str, bytes, os.PathLike)) else ""
        return any(real == folder or real.startswith(folder + os.sep) for folder in folders)

    def _refuse(self, action: str) -> None:
        _note(self.attempts, action)
        raise PermissionError(f"not allowed while images are protected: {action[:LONGEST]}")


def _note(notes: list[str], action: str) -> None:
    line = clean_line(action, LONGEST)
    if len(notes) < MOST and line not in notes:
        notes.append(line)


def _is_harmless(event: str, arguments: tuple[Any, ...]) -> bool:
    """Returns whether nothing can leave: a local pipe, or libraries that test at import for IPv6."""
    if getattr(arguments[0], "family", None) == socket.AF_UNIX:
        return True
    address = arguments[1] if event == "socket.bind" else None
    return isinstance(address, tuple) and address[:2] in (("::1", 0), ("127.0.0.1", 0))


def _describe(arguments: Sequence[object]) -> str:
    parts = []
    for argument in arguments:
        if isinstance(argument, bytes):
            parts.append(os.fsdecode(argument))
        elif isinstance(argument, (str, int, tuple, os.PathLike)):
            parts.append(str(argument))
    return " ".join(parts)[:LONGEST]
