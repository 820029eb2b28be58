"""Many files into a store at once: all of them, or none, also where the process is killed.

Files are written to a folder of their own below the store. One rename of that folder decides: before it nothing has
happened, after it whoever opens the store next moves what is left to be moved. A stranger's folder may look as if a
merge had been interrupted: nothing is moved through a symbolic link, and nothing that is no file of a store.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
from pathlib import Path, PurePath, PurePosixPath

from cloakbench.errors import InfrastructureError
from cloakbench.files import PARTIAL, open_folder, write_below
from cloakbench.store import paths

COMMITTED = ".committed-"
"""How the name of a folder begins whose files belong to the store already."""


class Staging:
    """Files that are collected in a temporary folder and then moved into the store at `root`, all or none."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.path = root / f"{PARTIAL}{secrets.token_hex(8)}"
        self.names: set[str] = set()

    def write(self, name: PurePosixPath, data: bytes) -> None:
        """Writes a file that belongs at `name` below the store.

        Raises InfrastructureError where the disk is full, or a folder of the store on its way is a symbolic link.
        """
        try:
            _require_real_folders(self.root, name)
            write_below(self.root, self.path.name / name, data)
        except OSError as error:
            raise _explain(self.root, error) from error
        self.names.add(name.as_posix())

    def commit(self) -> None:
        """Puts all files in place; raises InfrastructureError where that fails, and the next reader repeats it."""
        if not self.names:
            return
        try:
            self.path.rename(self.root / self.path.name.replace(PARTIAL, COMMITTED))
        except OSError as error:
            raise _explain(self.root, error) from error
        finish(self.root)

    def discard(self) -> None:
        """Removes what was not committed."""
        shutil.rmtree(self.path, ignore_errors=True)


def finish(root: Path) -> None:
    """Moves the files of committed folders to where they belong; nothing happens where there are none."""
    for folder in sorted(root.glob(f"{COMMITTED}*")):
        try:
            if not folder.is_symlink():
                _move(folder, root)
        except OSError as error:
            raise _explain(root, error) from error


def _move(folder: Path, root: Path) -> None:
    """Moves a folder's files; those that another process moves at the same time are passed over."""
    for parent, _, names in os.walk(folder):  # passes over folders that vanish meanwhile, and follows no link
        for name in sorted(names):
            file = Path(parent, name)
            inside = PurePosixPath(file.relative_to(folder).as_posix())
            with contextlib.suppress(FileNotFoundError):
                if paths.is_of_layout(inside.as_posix()) and stat.S_ISREG(file.lstat().st_mode):
                    _require_real_folders(root, inside)
                    _move_file(file.relative_to(root), inside, root)
    shutil.rmtree(folder, ignore_errors=True)


def _move_file(name: PurePath, target: PurePath, root: Path) -> None:
    """Moves one file below a store; both folders are opened, so that a link put there meanwhile is not followed."""
    with open_folder(root, name.parent) as source, open_folder(root, target.parent, makes=True) as folder:
        os.replace(name.name, target.name, src_dir_fd=source, dst_dir_fd=folder)


def _require_real_folders(root: Path, name: PurePosixPath) -> None:
    """Raises OSError where a folder between a store and one of its files is a symbolic link."""
    for parent in name.parents:
        if (root / parent).is_symlink() and parent.parts:
            raise OSError(errno.ELOOP, f"{parent} is a symbolic link", str(root / parent))


def _explain(root: Path, error: OSError) -> InfrastructureError:
    is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    problem = "no space is left" if is_full else str(error.strerror)
    return InfrastructureError(f"could not write to {root}: {problem}", "Free space or choose another --store.")
