"""What an adoption brings for pages: small pictures, and the note on the records."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from cloakbench.files import read_regular, read_unlinked
from cloakbench.schemas.record import Record
from cloakbench.store import paths
from cloakbench.store.paths import NOTICE_FILE, StorePaths
from cloakbench.store.reading import Loaded
from cloakbench.upkeep.intake import Intake, Source

MOST_OF_A_FILE = 256 << 10
"""Bytes of a small picture, or of a note; `export` writes pictures of some kilobytes."""
MOST_OF_PICTURES = 16 << 20
"""Bytes of all small pictures that one adoption brings."""


def add_pictures(intake: Intake, source: Source, loaded: Loaded) -> tuple[int, int]:
    """Collects the small pictures of stages that records name; returns how many, and how many not.

    Left out is one that is a link or too large, and one of a stage that ran in the store.
    """
    ours: list[Record] = []
    theirs: list[Record] = []
    for record in loaded.records:
        cell = record.key, record.environment.env_class
        is_own = intake.store.record_path(*cell).exists() and intake.store.is_own(*cell)
        (ours if is_own else theirs).append(record)
    wanted = _picture_keys(theirs) - _picture_keys(ours)
    added = left_out = size = 0
    for path in StorePaths(source.folder).pictures():
        name = path.relative_to(source.folder).as_posix()
        if (intake.store.root / name).exists():
            continue
        data = _read(path) if paths.picture_key(name) in wanted else None
        if data is None or size + len(data) > MOST_OF_PICTURES:
            left_out += 1
            continue
        intake.staging.write(PurePosixPath(name), data)
        size += len(data)
        added += 1
    return added, left_out


def _picture_keys(records: Iterable[Record]) -> set[str]:
    """Returns what the pictures of records are named after: the stages from whose output later ones continue."""
    keys: set[str] = set()
    for record in records:
        for recipe in record.recipes.stages() if record.recipes else ():
            keys.update(key[: paths.PICTURE_KEY] for key in recipe.parents.values())
    return keys


def add_notice(intake: Intake, source: Source) -> str:
    """Collects the note on a source's records for a store without records; returns why it stays out, else nothing.

    The note is about the source's records, and every page of the store would show it.
    """
    path, own = StorePaths(source.folder).notice, intake.store.notice
    if not path.exists():
        return ""
    data = _read(path)
    if data is None:
        return f"expected a text of its own of at most {MOST_OF_A_FILE} bytes"
    if own.exists() and read_regular(own) == data:
        return ""
    if own.exists() or next(intake.store.records(), None) is not None:
        return "it is about the records of that folder, and the store holds others"
    intake.staging.write(PurePosixPath(NOTICE_FILE), data)
    return ""


def _read(path: Path) -> bytes | None:
    """Returns a small file; None for a link, also a hard one, a pipe or a larger one."""
    try:
        return read_unlinked(path, MOST_OF_A_FILE)
    except OSError:
        return None
