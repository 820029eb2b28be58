"""Confines a process for good and then becomes a submission's worker, so that none of its code runs unrestricted.

The harness's own interpreter runs this file with `-I -S`, under bubblewrap too: start-up files (`.pth`,
`sitecustomize`) and the copy of cloakbench in an environment of a submission's own are the submission's code. It forks.
The parent supervises and runs none of that code. The child restricts itself and becomes the Python of the environment;
what the kernel was asked for stays.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

FILE = Path(__file__)
PACKAGES = ("cloakbench", "cloakbench.submissions", "cloakbench.submissions.sandbox")
WALLS = ("landlock", "seccomp")
"""The kernel's restrictions, of which the launcher reports by one byte each, 1 or 0, whether they hold."""


@dataclass(frozen=True, slots=True)
class Confinement:
    """What a process gives up before any code of a submission runs.

    Attributes:
        readable: Files and folders that it may read and run; those that bubblewrap shows need no further rule.
        writable: Files and folders that it may change.
        hidden: Folders that it may not read, though they lie in readable ones.
        listed: Folders of which it may read only the names of files.
        file_bytes: Largest file that it may write.
        is_alone: Whether no bubblewrap hides other files and processes.
        local_sockets: Whether UNIX sockets stay allowed.
    """

    readable: list[str]
    writable: list[str]
    hidden: list[str]
    listed: list[str]
    file_bytes: int
    is_alone: bool
    local_sockets: bool


def main() -> None:
    """Confines this process and becomes the worker.

    The arguments are the confinement as JSON, the descriptors of reports, orders and answers, and the worker's command,
    which gets the last two.
    """
    confinement, descriptors, command = json.loads(sys.argv[1]), sys.argv[2:5], sys.argv[5:]
    report, *pipes = map(int, descriptors)
    confine(Confinement(**confinement), report, pipes)
    try:
        os.execv(command[0], [*command, *descriptors[1:]])  # noqa: S606 - the interpreter of the environment
    except OSError as error:
        sys.exit(f"expected a Python that starts, got {command[0]}: {error.strerror}")


def confine(confinement: Confinement, report: int, pipes: Sequence[int]) -> None:
    """Forks a supervisor off and restricts the child, in which this returns, for good.

    Args:
        confinement: What the child gives up.
        report: Descriptor to which the child writes one byte for each of `WALLS`, and the supervisor how it ended.
        pipes: Descriptors of the child alone.
    """
    from cloakbench.submissions.sandbox import kernel, supervisor  # where this is a program, found by its last lines

    kernel.limit_resources(confinement.file_bytes)
    kernel.drop_privileges()
    supervisor.supervise(report, [0, 1, 2, *pipes])
    lists = (confinement.readable, confinement.writable, confinement.hidden, confinement.listed)
    has_landlock = confinement.is_alone and kernel.restrict_files(*(list(map(Path, paths)) for paths in lists))
    has_seccomp = kernel.filter_calls(confinement.local_sockets, confinement.is_alone)
    os.write(report, bytes((has_landlock, has_seccomp)))
    os.close(report)


def _find_own_modules() -> None:
    """Makes the modules beside this file importable without the packages around them, which need other libraries."""
    for package, folder in zip(reversed(PACKAGES), FILE.resolve().parents, strict=False):
        module = ModuleType(package)
        module.__path__ = [str(folder)]
        sys.modules[package] = module


if __name__ == "__main__":
    _find_own_modules()
    main()
