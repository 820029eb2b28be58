"""Restricts this process for good and then becomes another Python, so that none of that one's code runs unrestricted.

The harness's own interpreter runs this file with `-I -S` where no bubblewrap stands before the environment of a
submission's own: the start-up files (`.pth`, `sitecustomize`) and the copy of cloakbench there are the submission's
code. What the kernel was asked for stays when a process becomes another program; the worker asks for it once more.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import ModuleType

FILE = Path(__file__)
PACKAGES = ("cloakbench", "cloakbench.submissions", "cloakbench.submissions.sandbox")


def main() -> None:
    """Restricts this process; the arguments are the worker's first order as JSON, a folder to list, its command."""
    _find_own_modules()
    from cloakbench.submissions.sandbox import kernel

    start, listed, command = json.loads(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    kernel.adopt_orphans()  # stays with the process, so that what a start-up file starts has a parent here
    kernel.limit_resources(start["file_bytes"])
    kernel.drop_privileges()
    readable, writable, hidden = (list(map(Path, start[name])) for name in ("readable", "writable", "hidden"))
    kernel.restrict_files(readable, writable, hidden, [listed])
    kernel.filter_calls(start["local_sockets"], is_alone=True)
    os.execv(command[0], command)  # noqa: S606 - the interpreter of the environment


def _find_own_modules() -> None:
    """Makes the modules beside this file importable without the packages around them, which need other libraries."""
    for package, folder in zip(reversed(PACKAGES), FILE.resolve().parents, strict=False):
        module = ModuleType(package)
        module.__path__ = [str(folder)]
        sys.modules[package] = module


if __name__ == "__main__":
    main()
