"""What a submission's Python code may touch: an audit hook that refuses the rest and remembers what was tried.

It stops accidents and curious code. Native code passes by it: bubblewrap is the wall, where it is installed.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGING = {"os.remove": 1, "os.rmdir": 1, "os.mkdir": 1, "os.truncate": 1, "os.chmod": 1, "os.chown": 1,
             "os.rename": 2, "os.link": 2, "os.symlink": 2, "shutil.rmtree": 1, "shutil.move": 2}  # fmt: skip
"""Audit events that change files -> how many of their first arguments are paths."""
_NETWORK = ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")
MOST = 20
"""Attempts that are remembered."""


class AuditHook:
    """Refuses network, changes outside `allowed` folders and reading in `hidden` ones; remembers what was tried."""

    def __init__(self, allowed: Sequence[Path], hidden: Sequence[Path] = ()) -> None:
        self._allowed = tuple(os.path.realpath(folder) for folder in (*map(str, allowed), os.devnull))
        self._hidden = tuple(os.path.realpath(str(folder)) for folder in hidden)
        self._is_up = True
        self.attempts: list[str] = []

    def raise_up(self) -> None:
        """Puts the fence up for good: an audit hook can't be taken away again."""
        sys.addaudithook(self._audit)

    @contextmanager
    def lowered(self) -> Iterator[None]:
        """Lets the harness's own code through: loading a model opens sockets and caches without meaning harm."""
        self._is_up = False
        try:
            yield
        finally:
            self._is_up = True

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._is_up:
            return
        if event == "open":
            self._opening(*arguments)
        elif event in _CHANGING:
            for path in arguments[: _CHANGING[event]]:
                if not self._inside(path, self._allowed):
                    self._refuse(f"{event} {os.fsdecode(path) if isinstance(path, bytes) else path}")
        elif event in _NETWORK and not _is_harmless(event, arguments):
            self._refuse(f"{event} {_address(arguments)}")

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

    def _refuse(self, what: str) -> None:
        if len(self.attempts) < MOST and what not in self.attempts:
            self.attempts.append(what[:200])
        raise PermissionError(f"not allowed while images are protected: {what[:200]}")


def _is_harmless(event: str, arguments: tuple[Any, ...]) -> bool:
    """Returns whether nothing can leave: a local pipe, or libraries that ask at import whether there is IPv6."""
    if getattr(arguments[0], "family", None) == socket.AF_UNIX:
        return True
    address = arguments[1] if event == "socket.bind" else None
    return isinstance(address, tuple) and address[:2] in (("::1", 0), ("127.0.0.1", 0))


def _address(arguments: tuple[Any, ...]) -> str:
    return " ".join(str(part) for part in arguments if isinstance(part, (str, int, tuple)))[:100]
