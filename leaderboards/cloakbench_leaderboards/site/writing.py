"""Writes a site to its folder: the old site stays until the new one is whole."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from cloakbench.errors import UserError

MANIFEST = "manifest.json"
"""Lists the files of the site; other files of the folder, such as `.git` or `CNAME`, belong to somebody else."""


class File(NamedTuple):
    """One file of a site."""

    path: str
    """From the site's folder, with `/`."""
    content: Callable[[], bytes] | Path
    """A function that returns the bytes, or the file to copy."""


def publish(out: Path, files: Iterable[File]) -> int:
    """Writes a site to a folder and returns the number of its files.

    The files are written to a temporary folder next to `out`, which then takes the name of the old site. A killed
    build leaves the old site, or a renamed copy of it that the next build restores. Foreign files in `out` stay.

    Args:
        out: Folder of the site; created where it is missing.
        files: Every file of the site; each path once.

    Raises:
        OSError: The folder cannot be written.
        UserError: `out` is the current folder or contains it.
        ValueError: A path leaves the folder, or occurs twice.
    """
    out = out.resolve()
    if Path.cwd().resolve().is_relative_to(out):
        raise UserError(f"the board cannot take the place of the current folder {out}", "choose another --out")
    out.parent.mkdir(parents=True, exist_ok=True)
    _recover(out)
    if out.exists() and not out.is_dir():
        raise NotADirectoryError(20, "not a folder")
    stage = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}-new-"))
    try:
        paths = _write_all(stage, files)
        _keep_foreign_files(out, stage)
        stage.chmod(0o755)  # mkdtemp gives access to the owner alone
        _replace(stage, out)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    return len(paths)


def _write_all(stage: Path, files: Iterable[File]) -> set[str]:
    paths: set[str] = set()
    for file in files:
        if file.path in paths or file.path == MANIFEST:
            raise ValueError(f"two files of the site have the path {file.path!r}")
        paths.add(file.path)
        target = stage / _checked(file.path)
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(file.content, Path):
            shutil.copyfile(file.content, target)
        else:
            target.write_bytes(file.content())
    (stage / MANIFEST).write_bytes(json.dumps(sorted(paths), indent=0).encode())
    return paths


def _keep_foreign_files(out: Path, stage: Path) -> None:
    """Links every file of the old folder that its manifest does not list into the new folder."""
    old_paths = _listed(out / MANIFEST)
    for folder, _, names in os.walk(out):
        for name in names:
            file = Path(folder, name)
            inside = file.relative_to(out)
            if inside.as_posix() in old_paths or (stage / inside).exists():
                continue
            (stage / inside).parent.mkdir(parents=True, exist_ok=True)
            _link(file, stage / inside)


def _link(file: Path, target: Path) -> None:
    try:
        os.link(file, target, follow_symlinks=False)
    except OSError:  # a file system without hard links
        shutil.copy2(file, target, follow_symlinks=False)


def _listed(manifest: Path) -> set[str]:
    try:
        # Boards of version 0.1 wrote an object with the paths as keys.
        return {str(path) for path in json.loads(manifest.read_bytes())}
    except (OSError, ValueError, TypeError):
        return set()


def _checked(path: str) -> PurePosixPath:
    pure = PurePosixPath(path)
    if not path or pure.is_absolute() or ".." in pure.parts or "\\" in path or str(pure) != path:
        raise ValueError(f"expected a path inside the site's folder, got {path!r}")
    return pure


def _replace(stage: Path, out: Path) -> None:
    old = _old_name(out)
    if out.exists():
        out.rename(old)
    stage.rename(out)
    shutil.rmtree(old, ignore_errors=True)


def _old_name(out: Path) -> Path:
    return out.with_name(f".{out.name}-old")


def _recover(out: Path) -> None:
    """Repairs what a killed build left: a renamed old site, and unfinished new ones."""
    old = _old_name(out)
    if old.is_dir():
        if out.exists():
            shutil.rmtree(old, ignore_errors=True)
        else:
            old.rename(out)
    for stage in out.parent.glob(f".{out.name}-new-*"):
        shutil.rmtree(stage, ignore_errors=True)
