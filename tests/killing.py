"""Refreshes of the tiny suite that are killed at random moments: a process that forks one refresh after the other.

Called with the suite's file, a folder, the number of kills and a seed; prints one JSON object. Forking saves the
seconds that importing the models' libraries takes; the process that forks runs nothing itself.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from functools import partial
from pathlib import Path

import torch

from cloakbench.cells import stages  # noqa: F401 - what a refresh imports late is imported before the forks
from cloakbench.models import loader  # noqa: F401
from cloakbench.runs.choice import Choice
from cloakbench.runs.executors import ExecutorOptions
from cloakbench.upkeep import refresh
from tests import forking

torch.set_num_threads(1)
INLINE = ExecutorOptions("inline")


def refreshed(suite: Path, folder: Path) -> None:
    """Refreshes without a word on standard output."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    refresh.refresh(Choice(str(suite), ["placebo"]), folder / "store", folder / "site", INLINE, unofficial=True)


def forked(suite: Path, folder: Path) -> int:
    """Starts a refresh in a fork and returns its process id."""
    return forking.start(partial(refreshed, suite, folder))


def ended(pid: int) -> int:
    """Waits for a fork; returns its exit code, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def main(suite: Path, root: Path, kills: int, seed: int) -> None:
    """Refreshes once undisturbed, then again and again with kills until there were enough of them."""
    random.seed(seed)
    start = time.monotonic()
    assert ended(forked(suite, root / "calm")) == 0
    whole = time.monotonic() - start
    done, rounds, codes = 0, 0, []
    while done < kills or codes[-1] != 0:
        folder = root / f"rough-{rounds}"
        pid = forked(suite, folder)
        if done < kills:
            time.sleep(random.uniform(0, whole / 2))
            os.kill(pid, signal.SIGKILL)
        codes.append(ended(pid))
        done += codes[-1] == -signal.SIGKILL
        rounds += codes[-1] == 0
    print(json.dumps({"kills": done, "rounds": rounds, "codes": sorted(set(codes)), "seconds": whole}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
