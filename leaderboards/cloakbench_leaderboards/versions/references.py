"""How a user names one side of a comparison: a protection, a folder of records, or such a folder in a git commit."""

from __future__ import annotations

import re
import shlex
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cloakbench.errors import UserError
from cloakbench.store.paths import CANARIES_FILE, FACTS_FILE, RECORDS_FILE, StorePaths
from cloakbench.store.reading import ANY_PROTECTION, Loaded, load
from cloakbench.submissions.naming import parse as parse_spelling

FORMS = (
    "photoguard, photoguard@0.1.0, FOLDER, FOLDER:photoguard@0.1.0, or REV:FOLDER with a git commit before the folder; "
    "protection:NAME and store:FOLDER say which of both a name is"
)
PROTECTION, STORE = "protection", "store"
"""Prefixes for a name that a protection and a folder share."""
_COLON = re.compile(r":(?![^\[]*\])")
"""A colon that is not inside the brackets of parameters."""


@dataclass(frozen=True, slots=True)
class Reference:
    """One side of a comparison, as a user named it."""

    words: str
    folder: Path | None = None
    """A store or reference folder; None: the default store."""
    revision: str = ""
    """The git commit that holds `folder`; empty for the folder as it is."""
    protection: str = ""
    """Spelling of one protection; empty for all."""
    version: str | None = None

    def load(self, default: Path, suite: str | None) -> Loaded:
        """Returns the records; raises UserError where there are none or git does not know the commit."""
        folder = self.folder or default
        if self.revision:
            return _committed(self.revision, folder, suite)
        wanted = f"--protection {shlex.quote(self.protection)}" if self.protection else ANY_PROTECTION
        return load(folder, suite, wanted)

    def where(self, default: Path) -> str:
        """Returns the folder in the user's words."""
        folder = str(self.folder or default)
        return f"{self.revision}:{folder}" if self.revision else folder


def parse(words: str) -> Reference:
    """Returns what one side means; a folder of records wins over a commit and over a protection of its name.

    Example:
        >>> parse("photoguard[steps=5]@0.1.0").version
        '0.1.0'
        >>> parse("HEAD~1:reference:photoguard").revision
        'HEAD~1'
        >>> parse("protection:photoguard").protection
        'photoguard'
    """
    first, *rest = _COLON.split(words)
    if first == PROTECTION and len(rest) == 1 and rest[0]:
        return Reference(words, None, "", *_spelling(rest[0]))
    if first == STORE and rest and not Path(first).is_dir():
        first, *rest = rest
        if not Path(first).is_dir():
            raise UserError(f"expected a folder of records, got {first!r}: no such folder", f"Write it as {FORMS}.")
        return Reference(words, Path(first), "", *_spelling(rest[0] if rest else ""))
    if not first or len(rest) > 2 or not all(rest):
        raise UserError(f"expected one side of a comparison, got {words!r}", f"Write it as {FORMS}.")
    if Path(first).is_dir() and (len(rest) == 1 or (not rest and ("/" in first or _has_records(Path(first))))):
        return Reference(words, Path(first), "", *_spelling(rest[0] if rest else ""))
    if rest:
        return Reference(words, Path(rest[0]), first, *_spelling(rest[1] if len(rest) > 1 else ""))
    if "/" in first:
        raise UserError(f"expected a folder of records, got {first!r}: no such folder", f"Write it as {FORMS}.")
    return Reference(words, None, "", *_spelling(first))


def _has_records(folder: Path) -> bool:
    """Returns whether a folder is a store or a reference; a submission's own folder, named as it is, is neither."""
    paths = StorePaths(folder)
    return paths.is_reference or bool(paths.facts())


def inside(folder: Path, protection: str = "") -> Reference:
    """Returns the records of a folder, or one protection of them, `photoguard` or `photoguard@0.1.0`."""
    return Reference(str(folder), folder, "", *_spelling(protection))


def _spelling(words: str) -> tuple[str, str | None]:
    if not words:
        return "", None
    name, _, version = words.rpartition("@") if "@" in words else (words, "", "")
    return parse_spelling(name).identity, version or None


def _committed(revision: str, folder: Path, suite: str | None) -> Loaded:
    with tempfile.TemporaryDirectory(prefix="cloakbench-commit-") as scratch:
        for name, is_needed in ((FACTS_FILE, True), (RECORDS_FILE, True), (CANARIES_FILE, False)):
            path = folder.as_posix() if folder.is_absolute() else f"./{folder.as_posix()}"
            content = _git("show", "--end-of-options", f"{revision}:{path}/{name}")
            if content is not None:
                (Path(scratch) / name).write_bytes(content)
            elif is_needed:
                raise UserError(
                    f"expected a reference folder in a git commit, got {revision}:{folder}: git finds no {name} there",
                    f"Name a commit that holds the folder, from inside its repository, or write it as {FORMS}.",
                )
        return load(Path(scratch), suite)


def _git(*arguments: str) -> bytes | None:
    try:
        process = subprocess.run(["git", *arguments], capture_output=True, check=False)  # noqa: S603, S607 - git of the user's PATH
    except OSError:
        return None
    return process.stdout if process.returncode == 0 else None
