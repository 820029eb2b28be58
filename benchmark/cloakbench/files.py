"""Writing a file whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PARTIAL = ".partial-"
"""How the name of a file begins that is not whole yet."""
MOST_BYTES = 1 << 30
"""Of a file that a stranger may have written."""


def to_json(value: Mapping[str, Any]) -> bytes:
    """Returns readable canonical JSON: sorted keys, no NaN, newline at the end."""
    return (json.dumps(value, sort_keys=True, allow_nan=False, ensure_ascii=False, indent=1) + "\n").encode()


def write_whole(path: Path, data: bytes) -> None:
    """Writes under another name, flushes to the disk and renames; a fault raises OSError and leaves the old state.

    The file's permissions are those that the process's umask leaves to any new file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.parent / f"{PARTIAL}{secrets.token_hex(8)}"
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def read_regular(path: Path, most: int = MOST_BYTES) -> bytes:
    """Returns what a file holds; raises OSError for a pipe or a device, and for more than `most` bytes."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "is no regular file", str(path))
        if os.fstat(descriptor).st_size > most:
            raise OSError(errno.EFBIG, f"has more than {most} bytes", str(path))
        return file.read(most)


def find_special(folder: Path) -> list[Path]:
    """Returns the pipes, sockets and devices below a folder, sorted."""
    special, folders = [], [folder]
    while folders:
        for path in folders.pop().iterdir():
            mode = path.lstat().st_mode
            if stat.S_ISDIR(mode):
                folders.append(path)
            elif not stat.S_ISREG(mode) and not stat.S_ISLNK(mode):
                special.append(path)
    return sorted(special)


def find_links(folder: Path) -> list[Path]:
    """Returns the symbolic links below a folder, sorted; none of them is followed."""
    links, folders = [], [folder]
    while folders:  # `os.walk` calls itself once for each level, of which a stranger makes as many as he likes
        for path in folders.pop().iterdir():
            if path.is_symlink():
                links.append(path)
            elif path.is_dir():
                folders.append(path)
    return sorted(links)
