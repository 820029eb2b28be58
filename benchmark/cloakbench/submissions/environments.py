"""Virtual environments of their own for submissions whose requirements conflict with the harness's.

`$CLOAKBENCH_ENVIRONMENTS/<distribution>` is a virtual environment in which that distribution and cloakbench are
installed. It takes the place of one that is installed beside the harness; its code runs with its own interpreter.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PathDistribution, distributions
from pathlib import Path

from cloakbench.errors import UserError
from cloakbench.files import read_regular
from cloakbench.submissions.naming import normalised
from cloakbench.system.locations import ENVIRONMENTS_VARIABLE

MOST_METADATA = 64 << 20
"""Bytes of one file of a distribution's metadata."""


class PlainDistribution(PathDistribution):
    """A distribution whose metadata count as absent where they are no regular files, or too large ones.

    A stranger fills an environment: a pipe in place of a file there would never end, and neither would a device.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._folder = folder

    def read_text(self, filename: str | os.PathLike[str]) -> str | None:
        """Returns the text of a file of the metadata, None where there is none."""
        try:
            return read_regular(self._folder / filename, MOST_METADATA).decode()
        except OSError:
            return None


def installed() -> Iterator[Distribution]:
    """Yields every submission's distribution once: first those with an environment of their own."""
    for folder in _folders():
        for owner in inside(folder):
            if name_of(owner) == normalised(folder.name):
                yield owner
    yield from distributions()


def folder(distribution: str) -> Path | None:
    """Returns the environment of a distribution's own, None where it has none."""
    for environment in _folders():
        if normalised(environment.name) == normalised(distribution) and _holds(environment, distribution):
            return environment
    return None


def _holds(environment: Path, distribution: str) -> bool:
    return any(name_of(owner) == normalised(distribution) for owner in inside(environment))


def site_packages(environment: Path) -> list[Path]:
    """Returns the folders of installed packages in an environment."""
    return sorted(environment.glob("lib/python*/site-packages"))


def inside(environment: Path) -> list[Distribution]:
    """Returns the distributions in an environment, without those that it shares with others."""
    return [owner for owner in distributions_in(site_packages(environment)) if name_of(owner)]


def distributions_in(sites: Iterable[Path]) -> Iterator[Distribution]:
    """Yields the distributions in folders of installed packages."""
    for site in sites:
        for pattern in ("*.dist-info", "*.egg-info"):
            yield from map(PlainDistribution, sorted(site.glob(pattern)))


def name_of(owner: Distribution) -> str:
    """Returns a distribution's name in its usual form, empty where its metadata cannot be read."""
    try:
        return normalised(owner.metadata["Name"] or "")
    except Exception:  # damaged metadata of one must not stop the others
        return ""


def python(distribution: str) -> Path:
    """Returns the interpreter that runs a distribution's code; raises UserError where its environment has none."""
    own = folder(distribution)
    if own is None:
        return Path(sys.executable)
    interpreter = own / "bin" / "python"
    if not interpreter.exists():
        raise UserError(f"expected a Python in the environment {own}, got no {interpreter}", f"python -m venv {own}")
    return interpreter


def digest(environment: Path) -> str:
    """Returns a digest of what is installed in an environment by name and version: other versions, another entry."""
    lines = sorted(f"{name_of(owner)} {owner.version}\n" for owner in inside(environment))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _folders() -> Iterable[Path]:
    root = os.environ.get(ENVIRONMENTS_VARIABLE)
    if not root or not Path(root).is_dir():
        return []
    return sorted(path for path in Path(root).iterdir() if path.is_dir())
