"""Virtual environments of their own for submissions whose requirements conflict with the harness's.

`$CLOAKBENCH_ENVIRONMENTS/<distribution>` is a virtual environment in which that distribution and cloakbench are
installed. It takes the place of one that is installed beside the harness; its code runs with its own interpreter.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path

from cloakbench.errors import UserError
from cloakbench.submissions.naming import normalised
from cloakbench.system.locations import ENVIRONMENTS_VARIABLE


def installed() -> Iterator[Distribution]:
    """Yields every submission's distribution once: those with an environment of their own, then those beside us."""
    for folder in _folders():
        yield from (found for found in inside(folder) if normalised(found.name) == normalised(folder.name))
    yield from distributions()


def folder(distribution: str) -> Path | None:
    """Returns the environment of a distribution's own, None where it has none."""
    named = (each for each in _folders() if normalised(each.name) == normalised(distribution))
    return next(
        (each for each in named if any(normalised(d.name) == normalised(each.name) for d in inside(each))), None
    )


def inside(environment: Path) -> list[Distribution]:
    """Returns what is installed in an environment, not what it sees of others."""
    places = [str(place) for place in sorted(environment.glob("lib/python*/site-packages"))]
    return [found for found in distributions(path=places) if found.metadata["Name"]] if places else []


def python(distribution: str) -> Path:
    """Returns the interpreter that runs a distribution's code; raises UserError where its environment has none."""
    own = folder(distribution)
    if own is None:
        return Path(sys.executable)
    found = own / "bin" / "python"
    if not found.exists():
        raise UserError(f"expected a Python in the environment {own}, got no {found}", f"python -m venv {own}")
    return found


def digest(environment: Path) -> str:
    """Returns a digest of what is installed in an environment by name and version: other versions, another entry."""
    lines = sorted(f"{normalised(found.name)} {found.version}\n" for found in inside(environment))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _folders() -> Iterable[Path]:
    root = os.environ.get(ENVIRONMENTS_VARIABLE)
    return sorted(each for each in Path(root).iterdir() if each.is_dir()) if root and Path(root).is_dir() else []
