"""How a worker is confined: what its process gives up, and the command by which it does."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import cloakbench
from cloakbench.submissions.sandbox import bubblewrap, launcher, visible
from cloakbench.submissions.sandbox.launcher import Confinement

WORKER = "cloakbench.submissions.sandbox.worker"


def confinement(box: Path, shown: Sequence[Path], hidden: Sequence[Path], file_bytes: int) -> Confinement:
    """Returns what a worker's process gives up, as far as bubblewrap does not stand around it.

    Args:
        box: The worker's own folder, as the worker sees it.
        shown: What it may read.
        hidden: Folders that it may not read, though they lie in readable ones.
        file_bytes: Largest file that it may write.
    """
    is_walled = bubblewrap.kind() == "bubblewrap"
    readable = () if is_walled else (*shown, *visible.KERNEL)
    listed = Path(cloakbench.__file__).absolute().parents[1]  # Python lists a folder in which it looks for a package
    return Confinement(
        readable=list(map(str, readable)),
        writable=list(map(str, visible.writable(box, is_walled))),
        hidden=list(map(str, hidden)),
        listed=[str(listed)],
        file_bytes=file_bytes,
        is_alone=not is_walled,
        local_sockets=is_walled or bool(visible.devices()),
    )


def command(confined: Confinement, shown: Sequence[Path], python: Path, ends: Sequence[int]) -> list[str]:
    """Returns the command of a worker: bubblewrap's part where it is, the launcher's, and the worker's own.

    Args:
        confined: What its process gives up.
        shown: What bubblewrap shows.
        python: The interpreter of its environment.
        ends: The descriptors of orders, answers and reports.
    """
    wall = []
    if not confined.is_alone:
        wall = bubblewrap.wall(shown, list(map(Path, confined.hidden)), confined.file_bytes)
    return [*wall, *launch(confined, ends), str(python), "-m", WORKER]


def launch(confined: Confinement, ends: Sequence[int]) -> list[str]:
    """Returns the launcher's part of a command, before the worker's."""
    orders, answers, report = map(str, ends)
    python = str(Path(sys.executable).resolve())  # our environment is not there for a submission with one of its own
    return [python, "-I", "-S", str(launcher.FILE), json.dumps(asdict(confined)), report, orders, answers]
