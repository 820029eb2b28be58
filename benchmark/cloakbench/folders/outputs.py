"""Folders that a verb writes into: its own results may be replaced, other files never."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from cloakbench import progress
from cloakbench.errors import UserError
from cloakbench.files import PARTIAL, to_json, write_whole

Verb = Literal["protect", "clean", "mimic"]


class OutputFolder:
    """A folder that a verb writes its results into, one after the other, each whole or not at all."""

    def __init__(self, folder: Path, verb: Verb) -> None:
        self.written = 0
        self._folder, self._verb = folder, verb
        self._digests = _written(folder, verb)

    def write(self, name: str, data: bytes) -> None:
        """Writes a file and notes its digest; raises UserError where another file has the name, or the disk is full."""
        _check(self._folder, [name], self._verb)
        self._digests.add(hashlib.sha256(data).hexdigest())
        try:
            # The note is written first: a verb that is interrupted can replace what it has written.
            self.note()
            write_whole(self._folder / name, data)
        except OSError as error:
            raise _unwritable(self._folder / name, error) from error
        self.written += 1

    def note(self) -> None:
        """Writes the digests of the verb's results into the folder; raises OSError where that is impossible."""
        write_whole(_note(self._folder, self._verb), to_json({"written": sorted(self._digests)}))


@contextmanager
def opened(folder: Path, names: Sequence[str], verb: Verb) -> Iterator[OutputFolder]:
    """Gives a folder that all these names can be written into; where the work ends early, says how many there are.

    Args:
        folder: Where the files go; created where it is missing.
        names: The files that will be written.
        verb: The verb that writes; only the same verb may replace the files later.

    Raises:
        UserError: A file of another origin has one of the names, or a name or the folder cannot be written. No result
            is written then.
    """
    _check(folder, names, verb)
    output, is_new, is_first = OutputFolder(folder, verb), not folder.exists(), not _note(folder, verb).exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        output.note()
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        _try_names(folder, names)
        yield output
    except BaseException:
        if output.written:
            progress.say(f"{output.written} of {len(names)} files were written to {folder}; they are whole and stay")
        elif is_first:
            _note(folder, verb).unlink()
            if is_new:
                folder.rmdir()
        raise


def _check(folder: Path, names: Sequence[str], verb: Verb) -> None:
    """Raises UserError for a name of a file in the folder that the verb did not write, and for an impossible name."""
    written = _written(folder, verb)
    for name in names:
        path = folder / name
        if _exists(path) and _digest(path) not in written:
            raise UserError(
                f"expected no other file at {path}, got one that `cloakbench {verb}` did not write",
                "Give another --out, or move the file away.",
            )


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:  # the name is too long
        raise _unwritable(path, error) from error


def _try_names(folder: Path, names: Sequence[str]) -> None:
    """Raises UserError for a name that the disk of the folder does not take, found out in a temporary folder in it."""
    path = folder
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=PARTIAL) as trial:
            for name in names:
                path = folder / name
                (Path(trial) / name).touch()
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> UserError:
    return UserError(f"expected a file or folder that can be written, got {path}: {error.strerror}", "Change --out.")


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
