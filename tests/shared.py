"""Folders that all processes of one test run share: the first process that needs one fills it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock


def root(factory: pytest.TempPathFactory) -> Path:
    """Returns the folder for temporary files of the whole test run, not that of one of its processes."""
    base = factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


def folder(factory: pytest.TempPathFactory, name: str, fill: Callable[[Path], object]) -> Path:
    """Returns the run's folder of a name; the tests read it and never write to it.

    Args:
        factory: Knows where the temporary files of the run are.
        name: Name of the folder.
        fill: Called with the new folder, by one process at a time, until it has ended without an error once.
    """
    path = root(factory) / name
    done = path.with_name(f"{name}.done")
    with FileLock(path.with_name(f"{name}.lock")):
        if not done.exists():
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir()
            fill(path)
            done.touch()
    return path
