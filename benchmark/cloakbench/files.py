"""Writing a file whole or not at all."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PARTIAL = ".partial-"
"""How the name of a file begins that is not whole yet."""


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
