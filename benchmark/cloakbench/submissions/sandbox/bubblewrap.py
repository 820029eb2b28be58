"""What stands between a submission's process and the machine: its environment, and bubblewrap where it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from cloakbench.submissions.sandbox import processes
from cloakbench.system import cpu
from cloakbench.system.locations import LOCK_VARIABLE, lock_file

PASSED_ON = (
    "PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS",
    "HF_HOME", "TORCH_HOME", "XDG_CACHE_HOME", "CLOAKBENCH_MODELS", "CLOAKBENCH_IMAGES",
)  # fmt: skip
"""Variables that a worker gets; everything else of the environment stays outside."""
OURS = ("PYTHONPATH", "VIRTUAL_ENV")
PATHS = ("PYTHONPATH", "HF_HOME", "TORCH_HOME", "XDG_CACHE_HOME", "CLOAKBENCH_MODELS", "CLOAKBENCH_IMAGES")
"""Those that hold paths, which a worker has to find from a folder of its own."""


def kind() -> str:
    """Returns `bubblewrap`, or `process` where it is not installed or not allowed to make namespaces."""
    found = shutil.which("bwrap")
    return "bubblewrap" if found and _works(found) else "process"


@cache
def _works(bwrap: str) -> bool:
    tried = [bwrap, "--unshare-all", "--ro-bind", "/", "/", "--dev-bind", "/dev", "/dev", "--proc", "/proc", "true"]
    return subprocess.run(tried, capture_output=True, check=False).returncode == 0  # noqa: S603 - no foreign input


def environment(box: Path, is_own: bool = False) -> dict[str, str]:
    """Returns the variables of a worker whose folder is `box`: what it needs, and nothing that says more.

    With a virtual environment of its own (`is_own`) it gets none that lead to our packages.
    """
    passed = set(PASSED_ON) - (set(OURS) if is_own else set())
    kept = {name: os.environ[name] for name in PASSED_ON if name in os.environ and name in passed}
    for name in set(PATHS) & set(kept):
        kept[name] = os.pathsep.join(str(Path(part).absolute()) for part in kept[name].split(os.pathsep))
    kept[LOCK_VARIABLE] = str(lock_file().absolute())
    own = {"HOME": str(box), "TMPDIR": str(box / "tmp"), "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    return {**kept, **cpu.for_workers(), **own, processes.MARK: box.name, "PYTHONDONTWRITEBYTECODE": "1"}


def wall(box: Path, hidden: Sequence[Path]) -> list[str]:
    """Returns bubblewrap's part of the command: no network, nothing writable but the box, hidden folders empty."""
    found = shutil.which("bwrap")
    if found is None or not _works(found):
        return []
    empty = [part for folder in hidden if folder.is_dir() for part in ("--tmpfs", str(folder))]
    return [
        found, "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "--dev-bind", "/dev", "/dev",
        "--proc", "/proc", *empty, "--bind", str(box), str(box), "--chdir", str(box), "--",
    ]  # fmt: skip
