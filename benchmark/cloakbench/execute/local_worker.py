"""The main function of a worker process on this machine. Imports no torch, so that a failure to start shows at once."""

from __future__ import annotations

import contextlib
import signal
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from cloakbench.system import imports

if TYPE_CHECKING:
    from cloakbench.datasets.artists import Artist
    from cloakbench.execute.job import RunnerFactory


def serve(line: Connection, job: RunnerFactory, root: Path) -> None:
    """Sends None when ready, then one Outcome or exception per task."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the run that is interrupted ends its processes itself
    imports.skip_unused()
    artists: dict[str, Artist] = {}
    try:
        runner = job.open(root)
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
                    line.send(runner.run(task, artists[task.artist]))
                except Exception as error:
                    line.send(error)
    finally:
        runner.close()
