"""The environment and the command of a submission's process: bubblewrap's walls around it where it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Literal

from cloakbench.errors import UserError
from cloakbench.submissions.sandbox import processes, visible
from cloakbench.system import cpu
from cloakbench.system.locations import LOCK_VARIABLE, lock_file

Isolation = Literal["bubblewrap", "process"]
PASSED_ON = (
    "PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS",
    "HF_HOME", "TORCH_HOME", "CLOAKBENCH_MODELS", "CLOAKBENCH_IMAGES",
)  # fmt: skip
"""Variables that a worker gets; everything else of the environment stays outside."""
OURS = ("PYTHONPATH", "VIRTUAL_ENV")
PATHS = ("PYTHONPATH", "HF_HOME", "TORCH_HOME", "CLOAKBENCH_MODELS", "CLOAKBENCH_IMAGES")
"""Those that hold paths, which a worker has to find from a folder of its own."""
BOX = Path("/tmp/cloakbench-box")  # noqa: S108 - in a /tmp of its own
"""The worker's own folder as bubblewrap shows it: in memory, and gone with the process."""
SHARED_MEMORY_BYTES = 1 << 30
_OPTIONAL = ("--disable-userns", "--size")
"""Options of newer versions of bubblewrap."""


ACCIDENTS_ONLY = "isolation `process` protects against accidents, not against intent"


def kind() -> Isolation:
    """Returns `bubblewrap`, or `process` where it is not installed or not allowed to make namespaces."""
    program = shutil.which("bwrap")
    return "bubblewrap" if program and _works(program) else "process"


def require() -> None:
    """Raises UserError where there is no bubblewrap that works: an official run needs one."""
    if kind() != "bubblewrap":
        raise UserError(
            f"expected bubblewrap for an official run, got none that works: {ACCIDENTS_ONLY}",
            "Install it (apt-get install bubblewrap) and allow user namespaces, or leave submissions out.",
        )


@cache
def _works(program: str) -> bool:
    command = [program, *_namespaces(program), "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "true"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603 - no foreign input


@cache
def _options(program: str) -> frozenset[str]:
    """Returns which of the optional options this version has."""
    text = subprocess.run([program, "--help"], capture_output=True, text=True, check=False).stdout  # noqa: S603 - as above
    return frozenset(option for option in _OPTIONAL if option in text)


def _namespaces(program: str) -> list[str]:
    inner = ["--disable-userns"] if "--disable-userns" in _options(program) else []
    return ["--unshare-user", "--unshare-all", *inner, "--cap-drop", "ALL", "--die-with-parent", "--as-pid-1"]


def environment(box: Path, mark: str, is_own: bool = False) -> dict[str, str]:
    """Returns the variables of a worker: what it needs, and nothing that says more.

    Args:
        box: The worker's own folder, as the worker sees it.
        mark: What tells the box's processes from others.
        is_own: Whether the worker has a virtual environment of its own: then no variable leads to our packages.
    """
    variables = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    cache_folder = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    variables.setdefault("HF_HOME", str(cache_folder / "huggingface"))
    variables.setdefault("TORCH_HOME", str(cache_folder / "torch"))
    for name in OURS if is_own else ():
        variables.pop(name, None)
    for name in variables.keys() & set(PATHS):
        parts = [str(Path(part).absolute()) for part in variables[name].split(os.pathsep) if part]
        variables[name] = os.pathsep.join(parts)
    variables[LOCK_VARIABLE] = str(lock_file().absolute())
    own = {"HOME": str(box), "TMPDIR": str(box / "tmp"), "USER": "cloakbench", "LOGNAME": "cloakbench"}
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    return {**variables, **cpu.for_workers(), **own, **offline, processes.MARK: mark, "PYTHONDONTWRITEBYTECODE": "1"}


def wall(readable: Sequence[Path], hidden: Sequence[Path], file_bytes: int) -> list[str]:
    """Returns bubblewrap's part of a command, empty where it does not work.

    The process has no network, sees `readable` (read only) and its own /proc, /dev, /dev/shm and /tmp, and nothing
    else. It starts in `BOX`. Its /tmp holds `file_bytes` in memory; `hidden` folders are empty.
    """
    program = shutil.which("bwrap")
    if program is None or not _works(program):
        return []
    own = ["--proc", "/proc", "--dev", "/dev", "--ro-bind-try", "/sys", "/sys"]
    own += _in_memory(program, "/dev/shm", SHARED_MEMORY_BYTES)  # noqa: S108 - as above
    own += _in_memory(program, str(BOX.parent), file_bytes)
    box = ["--dir", str(BOX), "--dir", str(BOX / "tmp"), "--remount-ro", "/", "--chdir", str(BOX), "--"]
    return [program, *_namespaces(program), *own, *_shown(readable), *_hidden(hidden, readable), *box]


def _in_memory(program: str, folder: str, size: int) -> list[str]:
    limit = ["--size", str(size)] if "--size" in _options(program) else []
    return [*limit, "--tmpfs", folder]


def _shown(readable: Sequence[Path]) -> list[str]:
    arguments: list[str] = []
    for path in sorted(readable):  # a folder before what lies in it
        if path.is_symlink() and len(path.parts) == 2:  # /lib is a link to /usr/lib on most systems
            arguments += ["--symlink", str(path.readlink()), str(path)]
        else:
            arguments += ["--ro-bind", str(path), str(path)]
    for path in visible.devices():
        arguments += ["--dev-bind-try", str(path), str(path)]
    return arguments


def _hidden(hidden: Sequence[Path], readable: Sequence[Path]) -> list[str]:
    """Returns what covers hidden folders inside readable ones; all others are not there anyway."""
    arguments: list[str] = []
    for folder in hidden:
        if folder.is_dir() and any(folder.is_relative_to(path) for path in readable):
            arguments += ["--tmpfs", str(folder), "--remount-ro", str(folder)]
    return arguments
