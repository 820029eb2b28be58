"""Writing a file whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PARTIAL = ".partial-"
"""How the name of a file begins that is not whole yet."""


def to_json(value: Mapping[str, Any]) -> bytes:
    """Returns readable canonical JSON: sorted keys, no NaN, newline at the end."""
    return (json.dumps(value, sort_keys=True, allow_nan=False, ensure_ascii=False, indent=1) + "\n").encode()


def write_whole(path: Path, data: bytes) -> None:
    """Writes under another name, flushes to the disk and renames; a fault raises OSError and leaves the old state."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=PARTIAL)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(partial).chmod(0o644)  # a temporary file is its owner's alone
        Path(partial).replace(path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise
