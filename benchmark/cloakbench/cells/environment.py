"""The environment of a run: every record states it, and only records of one class are paired."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from cloakbench.schemas.record import Environment
from cloakbench.system import cpu

PACKAGES = (
    "cloakbench",
    "torch",
    "diffusers",
    "transformers",
    "peft",
    "open_clip_torch",
    "pyiqa",
    "numpy",
    "scipy",
    "pillow",
)
DECISIVE = ("torch", "diffusers", "transformers", "peft")
"""Packages whose versions are part of the environment class."""


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def git(*arguments: str) -> str:
    """Returns what git prints in the repository of this package, stripped; empty where it fails or is not there."""
    here = Path(__file__).parent
    try:
        result = subprocess.run(["git", "-C", str(here), *arguments], capture_output=True, text=True, check=False)  # noqa: S603, S607 - git of the user's PATH
    except OSError:
        return ""
    return result.stdout.strip() if result.returncode == 0 else ""


def class_of(device: str, threads: int, packages: Mapping[str, str]) -> str:
    """Returns the environment class of a device, a number of threads and package versions."""
    decisive = "|".join([device, str(threads), *(f"{name}={packages.get(name, 'absent')}" for name in DECISIVE)])
    return hashlib.sha256(decisive.encode()).hexdigest()[:12]


@cache
def current(device: str, threads: int) -> Environment:
    """Returns this process's environment; `env_class` digests device kind, threads and the decisive packages."""
    from PIL import features

    packages = {name: _version(name) for name in PACKAGES}
    if device == "cpu":
        kind = f"cpu {platform.machine()} {cpu.capability()}"
    else:
        import torch

        from cloakbench.models.compiled import is_possible

        compiles = is_possible(torch.device("cuda"), torch.bfloat16)  # it rounds elsewhere
        kind = torch.cuda.get_device_name(device) + ("" if compiles else ", nothing compiled")
    return Environment(
        env_class=class_of(kind, threads, packages),
        device=kind,
        threads=threads,
        packages=packages,
        libjpeg=str(features.version("jpg") or "unknown"),
        commit=git("rev-parse", "HEAD"),
        dirty=bool(git("status", "--porcelain", "--untracked-files=no")),
    )
