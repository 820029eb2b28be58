"""What a process of this machine does that runs cells. Needs no torch itself, so that one that fails does so soon."""

from __future__ import annotations

import contextlib
import signal
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cloakbench.datasets.artists import Artist
    from cloakbench.execute.job import RunnerFactory


def serve(line: Connection, job: RunnerFactory, root: Path) -> None:
    """Says that it is ready, then answers tasks with outcomes and errors with themselves."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the run that is interrupted ends its processes itself
    artists: dict[str, Artist] = {}
    try:
        desk = job.open(root)
    except Exception as error:
        line.send(error)
        return
    line.send(None)
    try:
        with contextlib.suppress(EOFError, OSError):
            while True:
                task, artist = line.recv()
                if artist is not None:
                    artists[task.artist] = artist
                try:
                    line.send(desk.run(task, artists[task.artist]))
                except Exception as error:
                    line.send(error)
    finally:
        desk.close()
