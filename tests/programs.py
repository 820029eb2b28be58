"""What some tests need of the machine, programs and names of files, with marks that skip without it."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def has_openssh() -> bool:
    """Returns whether `ssh-keygen` is here and works, which it does for users with an entry in passwd only."""
    try:
        return shutil.which("ssh-keygen") is not None and bool(pwd.getpwuid(os.getuid()))
    except KeyError:
        return False


needs_openssh = pytest.mark.skipif(not has_openssh(), reason="no OpenSSH, or no entry of this user in passwd")
needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
needs_utf8_names = pytest.mark.skipif(
    sys.getfilesystemencoding() != "utf-8", reason="file names are not UTF-8 in this locale"
)


def git(folder: Path, *arguments: str) -> None:
    """Runs git in a folder without the variables of a hook, which would make it work on the hook's repository."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    own = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    person = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", *person, *arguments], cwd=folder, env={**environment, **own}, check=True)
