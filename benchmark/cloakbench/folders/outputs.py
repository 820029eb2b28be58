"""Folders that a verb writes into: its own results may be replaced, other files never."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from cloakbench.errors import UserError
from cloakbench.files import to_json, write_whole

Verb = Literal["protect", "clean", "mimic"]


def check(folder: Path, names: Iterable[str], verb: Verb) -> None:
    """Raises UserError where a file of these names is in the folder and was not written there by the verb."""
    written = _written(folder, verb)
    for name in names:
        path = folder / name
        if path.exists() and _digest(path) not in written:
            raise UserError(
                f"expected no other file at {path}, got one that `cloakbench {verb}` did not write",
                "Give another --out, or move the file away.",
            )


def write(folder: Path, files: Mapping[str, bytes], verb: Verb) -> None:
    """Writes files into a folder, creates it where it is missing, and notes their digests in it.

    Args:
        folder: Where the files go.
        files: The bytes of each file by its name.
        verb: The verb that writes; only the same verb may replace the files later.

    Raises:
        UserError: A file of another origin has one of the names, or the folder cannot be written.
    """
    check(folder, files, verb)
    digests = {hashlib.sha256(data).hexdigest() for data in files.values()}
    try:
        # The note is written first: a verb that is interrupted can replace what it has written.
        write_whole(_note(folder, verb), to_json({"written": sorted(_written(folder, verb) | digests)}))
        for name, data in files.items():
            write_whole(folder / name, data)
    except OSError as error:
        raise UserError(f"expected a writable folder, got {folder}: {error.strerror}", "Give another --out.") from error


def _note(folder: Path, verb: Verb) -> Path:
    return folder / f".cloakbench-{verb}.json"


def _written(folder: Path, verb: Verb) -> set[str]:
    """Returns the digests of the files that the verb has written into the folder; none without a readable note."""
    try:
        return set(json.loads(_note(folder, verb).read_bytes())["written"])
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""  # a folder, or unreadable: no verb wrote it
