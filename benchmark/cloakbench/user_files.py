"""Reading files of a user: bytes and text, with a message in place of a traceback."""

from __future__ import annotations

import codecs
from pathlib import Path

from cloakbench.errors import UserError

_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_bytes(path: Path) -> bytes:
    """Returns the bytes of a file; raises UserError with its name where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UserError(f"expected a readable file, got {path}: {reason}", "Check the path and its rights.") from error


def read_text(path: Path) -> str:
    """Returns the text of a UTF-8 file, without a byte-order mark; raises UserError with its name for other files."""
    data = read_bytes(path)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        encoding = "UTF-16" if data.startswith(_UTF16_MARKS) else f"byte 0x{data[error.start]:02x} at {error.start}"
        raise UserError(f"expected UTF-8 text in {path}, got {encoding}", "Save the file as UTF-8.") from error
