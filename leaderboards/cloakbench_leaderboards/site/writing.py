"""Putting a site in its folder: only what changed is made, and the old site stays until the new one is whole."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from cloakbench.errors import UserError
from cloakbench.files import to_json

MANIFEST = "manifest.json"
_RENAME_EXCHANGE = 2
_AT_FDCWD = -100


class File(NamedTuple):
    """One file of a site."""

    path: str
    """From the site's folder, with `/`."""
    recipe: str
    """What its bytes follow from; empty where they are cheaper made than remembered."""
    make: Callable[[], bytes] | Path
    """What makes the bytes, or the file to copy."""


class Written(NamedTuple):
    """What a build did."""

    made: int
    """Files that are new or have other bytes."""
    kept: int
    """Files that stay as they were, with their time."""
    removed: int
    """Files of the old site that the new one does not have."""


class _Old(NamedTuple):
    folder: Path
    files: Mapping[str, tuple[str, str]]
    """By path: the recipe and the SHA-256 of the bytes, both empty for a copy."""


def publish(out: Path, files: Iterable[File]) -> Written:
    """Writes a site to `out` and returns what changed; other files that lie there stay.

    The new site is put together beside the old one, of links to what is unchanged and of new files, and takes its
    place in one step. A kill leaves the old or the new site. Nothing is flushed to the disk: after a power cut, build
    again. Raises OSError where the folder cannot be written, and ValueError for a path that leaves it or comes twice.
    """
    out = out.resolve()
    if Path.cwd().resolve().is_relative_to(out):
        raise UserError(f"the board cannot take the place of the current folder {out}", "choose another --out")
    out.parent.mkdir(parents=True, exist_ok=True)
    _recover(out)
    if out.exists() and not out.is_dir():
        raise NotADirectoryError(20, "not a folder")
    old = _Old(out, _manifest(out))
    stage = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}-new-"))
    try:
        listed, made = _stage(old, stage, files)
        removed = len(old.files.keys() - listed.keys())
        _carry(old, stage)
        stage.chmod(0o755)  # a temporary folder is its owner's alone
        _swap(stage, out)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    return Written(made, len(listed) - made, removed)


def _stage(old: _Old, stage: Path, files: Iterable[File]) -> tuple[dict[str, tuple[str, str]], int]:
    listed: dict[str, tuple[str, str]] = {}
    made = 0
    for file in files:
        if file.path in listed or file.path == MANIFEST:
            raise ValueError(f"two files of the site have the path {file.path!r}")
        target = stage / _inside(file.path)
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(file.make, Path):
            is_new = _copy(file.make, old.folder / file.path, target)
            listed[file.path] = ("", "")
        else:
            is_new, listed[file.path] = _make(file, file.make, old, target)
        made += is_new
    manifest = to_json({path: list(digests) for path, digests in listed.items()})
    _put(manifest, old.folder / MANIFEST, stage / MANIFEST)
    return listed, made


def _make(file: File, make: Callable[[], bytes], old: _Old, target: Path) -> tuple[bool, tuple[str, str]]:
    before = old.folder / file.path
    recipe, digest = old.files.get(file.path, ("", ""))
    if file.recipe and recipe == file.recipe and _digest(before) == digest:
        _link(before, target)
        return False, (recipe, digest)
    data = make()
    return _put(data, before, target), (file.recipe, hashlib.sha256(data).hexdigest())


def _put(data: bytes, before: Path, target: Path) -> bool:
    """Returns whether the bytes are other than before; where they are the same, the file stays with its time."""
    if before.is_file() and before.stat().st_size == len(data) and before.read_bytes() == data:
        _link(before, target)
        return False
    target.write_bytes(data)
    return True


def _copy(source: Path, before: Path, target: Path) -> bool:
    if before.is_file() and not before.is_symlink():
        new, known = source.stat(), before.stat()
        if (new.st_size, new.st_mtime_ns) == (known.st_size, known.st_mtime_ns):
            _link(before, target)
            return False
    shutil.copy2(source, target)
    target.chmod(0o644)
    return True


def _link(before: Path, target: Path) -> None:
    try:
        os.link(before, target)
    except OSError:  # a file system without hard links
        shutil.copy2(before, target)


def _carry(old: _Old, stage: Path) -> None:
    """Takes over what lies in the folder and is not the site's, such as `.git` or the CNAME of a host."""
    if not old.folder.is_dir():
        return
    for folder, _, names in os.walk(old.folder):
        for name in names:
            before = Path(folder, name)
            inside = before.relative_to(old.folder)
            if inside.as_posix() in old.files or (stage / inside).exists():
                continue
            (stage / inside).parent.mkdir(parents=True, exist_ok=True)
            os.link(before, stage / inside, follow_symlinks=False)


def _manifest(folder: Path) -> dict[str, tuple[str, str]]:
    try:
        found = json.loads((folder / MANIFEST).read_bytes())
        return {str(path): (str(recipe), str(digest)) for path, (recipe, digest) in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}  # no site yet, or not one of this kind: all is made anew


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def _inside(path: str) -> PurePosixPath:
    pure = PurePosixPath(path)
    if not path or pure.is_absolute() or ".." in pure.parts or "\\" in path or str(pure) != path:
        raise ValueError(f"expected a path inside the site's folder, got {path!r}")
    return pure


def _swap(stage: Path, out: Path) -> None:
    if not out.exists():
        stage.rename(out)
        return
    if _exchange(stage, out):
        return
    aside = _aside(out)
    out.rename(aside)
    stage.rename(out)
    shutil.rmtree(aside, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Returns whether the system exchanged both names in one step; only Linux can."""
    with suppress(OSError, AttributeError):
        call = ctypes.CDLL(None, use_errno=True).renameat2
        return bool(call(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0)
    return False


def _aside(out: Path) -> Path:
    return out.with_name(f".{out.name}-old")


def _recover(out: Path) -> None:
    """Undoes what a kill left: the old site between two renames, and unfinished new ones."""
    aside = _aside(out)
    if aside.is_dir():
        if out.exists():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            aside.rename(out)
    for stage in out.parent.glob(f".{out.name}-new-*"):
        shutil.rmtree(stage, ignore_errors=True)
