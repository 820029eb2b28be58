"""What a submission's process may see of the file system: the interpreter, libraries, models, and nothing else."""

from __future__ import annotations

import contextlib
import os
import site
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import cloakbench
from cloakbench.files import read_regular
from cloakbench.submissions import environments
from cloakbench.submissions.package import is_editable, source_roots
from cloakbench.system.locations import lock_file

SYSTEM = (
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store", "/run/opengl-driver",
    "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/fonts", "/etc/localtime",
    "/etc/OpenCL", "/etc/vulkan",
)  # fmt: skip
"""Programs, libraries and what finds them."""
DEVICES = ("nvidia*", "kfd", "dri")
"""Patterns of graphics devices under /dev."""
PLAIN_DEVICES = ("null", "zero", "full", "random", "urandom")
KERNEL = (Path("/proc"), Path("/sys"))
"""Read by libraries for facts about the processor and their own process; bubblewrap shows only the worker's /proc."""


def folders(python: Path, variables: dict[str, str]) -> list[Path]:
    """Returns the files and folders that a worker may read and run; those that exist, each once.

    Args:
        python: The interpreter that runs the worker.
        variables: The worker's environment variables.
    """
    candidates = [
        *map(Path, SYSTEM),
        *_interpreter(python),
        *_packages(python, variables),
        *_models(variables),
        lock_file(),
    ]
    candidates += _split(variables.get("LD_LIBRARY_PATH", ""))
    absolute = dict.fromkeys(map(Path.absolute, candidates))
    return [path for path in absolute if _is_there(path) and path != Path(path.anchor)]


def _is_there(path: Path) -> bool:
    try:
        return os.access(path, os.F_OK)
    except ValueError:  # a null byte, which a damaged .pth file may hold
        return False


def _split(paths: str) -> Iterator[Path]:
    """Yields the parts of a search path that are not empty."""
    yield from map(Path, filter(None, paths.split(os.pathsep)))


def devices() -> list[Path]:
    """Returns the graphics devices of this machine."""
    paths: list[Path] = []
    for pattern in DEVICES:
        paths += Path("/dev").glob(pattern)
    return sorted(paths)


def writable(box: Path, has_own_devices: bool) -> list[Path]:
    """Returns the files and folders that a worker may change.

    Args:
        box: Its own folder.
        has_own_devices: Whether /dev/shm is its own; without bubblewrap it is everybody's.
    """
    shared = [Path("/dev/shm")] if has_own_devices else []  # noqa: S108 - the box's own
    return [box, *shared, *map(Path("/dev").joinpath, PLAIN_DEVICES), *devices()]


def _interpreter(python: Path) -> Iterator[Path]:
    """Yields the folders of the interpreters of a worker and of its launcher."""
    yield Path(sys.prefix) if python == Path(sys.executable) else python.parents[1]
    yield Path(sys.base_prefix)
    for program in (python, Path(sys.executable)):
        prefix = program.resolve().parents[1]
        if not Path.home().resolve().is_relative_to(prefix):  # no environment shows the home folder by a link
            yield prefix


def _packages(python: Path, variables: dict[str, str]) -> Iterator[Path]:
    """Yields the folders that a worker imports from; what it imports is not imported here."""
    yield Path(cloakbench.__file__).parent
    yield from _split(variables.get("PYTHONPATH", ""))
    ours = list(_installed(_own_sites()))
    if python == Path(sys.executable):
        yield from ours
        return
    environment = python.parents[1]
    for path in _installed(environments.site_packages(environment)):
        if _lies_in(path, [environment, *ours]):
            yield path


def _installed(sites: Sequence[Path]) -> Iterator[Path]:
    """Yields folders of installed packages, and the folders that their start-up files and metadata name."""
    for folder in sites:
        yield folder
        for listing in folder.glob("*.pth"):
            yield from _listed(listing)
    yield from _editable(sites)


def _lies_in(path: Path, folders: Sequence[Path]) -> bool:
    """Returns whether a path leads into one of the folders, links followed.

    A stranger fills an environment: a line of a .pth file, metadata or a link there may name any folder.
    """
    try:
        real = Path(os.path.realpath(path))
    except (OSError, ValueError):  # a null byte, or links without end
        return False
    return any(real.is_relative_to(os.path.realpath(folder)) for folder in folders)


def _own_sites() -> list[Path]:
    """Returns the folders of installed packages of this process, those of the user and of other environments too."""
    searched = [folder for folder in sys.path if Path(folder).name in ("site-packages", "dist-packages")]
    return list(map(Path, dict.fromkeys([*site.getsitepackages(), *searched])))


def _listed(listing: Path) -> Iterator[Path]:
    """Yields the folders that a .pth file adds to the search path."""
    try:
        text = read_regular(listing, environments.MOST_METADATA).decode(errors="replace")
    except OSError:  # a pipe, or a link to nothing
        return
    for line in text.splitlines():
        if line.strip() and not line.startswith(("import", "#")):
            yield listing.parent / line.strip()


def _editable(sites: Sequence[Path]) -> Iterator[Path]:
    """Yields the sources of the packages that are installed from a folder of their own."""
    for owner in environments.distributions_in(sites):
        with contextlib.suppress(Exception):  # damaged metadata of one must not stop the others
            if is_editable(owner):
                yield from source_roots(owner)


def _models(variables: dict[str, str]) -> Iterator[Path]:
    """Yields the folders of weights and ready-made images; not whole caches, which may hold a user's token."""
    for name in ("CLOAKBENCH_MODELS", "CLOAKBENCH_IMAGES"):
        if variables.get(name):
            yield Path(variables[name])
    yield Path(variables["HF_HOME"], "hub")
    yield Path(variables["TORCH_HOME"], "hub")
