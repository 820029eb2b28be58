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
_READING = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


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
    return _read(os.open(path, _READING), path, most)


def read_lines(path: Path) -> list[bytes]:
    """Returns the lines of a file, none where it is absent; raises OSError as `read_regular` does."""
    return read_regular(path).splitlines() if path.exists() else []


def read_unlinked(path: Path) -> bytes:
    """Returns the content of a file that will be copied; raises OSError as `read_regular` does, and for links.

    A symbolic link, or a hard link as a second name of a file, could give away a file that lies elsewhere.
    """
    descriptor = os.open(path, _READING | os.O_NOFOLLOW)
    if os.fstat(descriptor).st_nlink > 1:
        os.close(descriptor)
        raise OSError(errno.EMLINK, "is a hard link, whose other name may lie elsewhere", str(path))
    return _read(descriptor, path, MOST_BYTES)


def _read(descriptor: int, path: Path, most: int) -> bytes:
    with os.fdopen(descriptor, "rb") as file:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(errno.EINVAL, "is no regular file", str(path))
        if facts.st_size > most:
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
    while folders:  # `os.walk` calls itself once for each level, of which a stranger can make any number
        for path in folders.pop().iterdir():
            if path.is_symlink():
                links.append(path)
            elif path.is_dir():
                folders.append(path)
    return sorted(links)
