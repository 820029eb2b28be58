"""Writing a file whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
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
    write_below(path.parent, PurePath(path.name), data)


def write_below(root: Path, name: PurePath, data: bytes) -> None:
    """Writes the file `name` below a folder as `write_whole` does, and follows no symbolic link below that folder."""
    root.mkdir(parents=True, exist_ok=True)
    with open_folder(root, name.parent, makes=True) as folder:
        partial = f"{PARTIAL}{secrets.token_hex(8)}"
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=folder)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, name.name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(partial, dir_fd=folder)
            raise


def remove_below(root: Path, name: PurePath) -> None:
    """Removes the file `name` below a folder, if it is there; raises OSError for a symbolic link on the way."""
    with contextlib.suppress(FileNotFoundError), open_folder(root, name.parent) as folder:
        os.unlink(name.name, dir_fd=folder)


@contextlib.contextmanager
def open_folder(root: Path, inside: PurePath, makes: bool = False) -> Iterator[int]:
    """Yields a descriptor of a folder below `root`; raises OSError where a folder on the way is a symbolic link.

    Args:
        root: May be a link itself: the user names it.
        inside: The folder, relative to `root`.
        makes: Whether folders that are absent are made.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    descriptor = os.open(root, flags)
    try:
        for part in inside.parts:
            if makes:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, dir_fd=descriptor)
            below = os.open(part, flags | os.O_NOFOLLOW, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
        yield descriptor
    finally:
        os.close(descriptor)


def read_regular(path: Path, most: int = MOST_BYTES) -> bytes:
    """Returns what a file holds; raises OSError for a pipe or a device, and for more than `most` bytes."""
    return _read(os.open(path, _READING), path, most)


def read_lines(path: Path) -> list[bytes]:
    """Returns the lines of a file, none where it is absent; raises OSError as `read_regular` does."""
    return read_regular(path).splitlines() if path.exists() else []


def read_unlinked(path: Path, most: int = MOST_BYTES) -> bytes:
    """Returns the content of a file that will be copied; raises OSError as `read_regular` does, and for links.

    A symbolic link, or a hard link as a second name of a file, could give away a file that lies elsewhere.
    """
    descriptor = os.open(path, _READING | os.O_NOFOLLOW)
    if os.fstat(descriptor).st_nlink > 1:
        os.close(descriptor)
        raise OSError(errno.EMLINK, "is a hard link, whose other name may lie elsewhere", str(path))
    return _read(descriptor, path, most)


def _read(descriptor: int, path: Path, most: int) -> bytes:
    with os.fdopen(descriptor, "rb") as file:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(errno.EINVAL, "is no regular file", str(path))
        if facts.st_size > most:
            raise OSError(errno.EFBIG, f"has more than {most} bytes", str(path))
        return file.read(most)


def find_irregular(folder: Path) -> Path | None:
    """Returns a path below a folder that is neither a file nor a folder, such as a symbolic link; None without one."""
    folders = [str(folder)]
    while folders:
        with contextlib.suppress(FileNotFoundError), os.scandir(folders.pop()) as entries:  # others may remove it
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif not entry.is_file(follow_symlinks=False):
                    return Path(entry.path)
    return None


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
