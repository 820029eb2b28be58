"""The digest of a distribution's files: it identifies a protection's code, whatever version the package claims."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from functools import cache, partial
from importlib.machinery import PathFinder
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit
from urllib.request import url2pathname

from cloakbench.errors import BenchmarkError, SubmissionError, UserError
from cloakbench.submissions import environments
from cloakbench.submissions.discovery import GROUPS, Provider
from cloakbench.submissions.naming import normalised
from cloakbench.submissions.text import clean_line

TOOL_CACHES = {".mypy_cache", ".pytest_cache", ".ruff_cache"}
CODE = {".py", ".pyc", ".pyd", ".so", ".pth", ".zip", ".egg", ".whl"}
"""Endings of what Python can import or run."""
MOST_BYTES = 64 << 30
"""Of a distribution's files together: a file without content may have any size, and its digest would take days."""


@cache
def package_digest(name: str, provider: Provider | None = None) -> str:
    """Returns the SHA-256 over the package files of the distribution called `name`, once per process.

    The digest is over lines `SHA-256  path` sorted by path. Everything that can be imported counts, tests and compiled
    files included; `digest_of` says what is left out. Nothing is imported.

    Where it requires other submissions, whose code it then uses, their digests are part of its own; where it has an
    environment of its own, so is what else is installed there.

    Raises:
        UserError: No such distribution is installed.
        SubmissionError: None of its files are found, or its metadata are damaged.
    """
    try:
        return _package_digest(name, provider)
    except BenchmarkError:
        raise
    except Exception as error:  # a package may write anything into its metadata
        message = f"expected readable metadata of {name}, got {clean_line(f'{type(error).__name__}: {error}')}"
        raise SubmissionError(message, f"Install it again: pip install --force-reinstall {name}") from error


def _package_digest(name: str, provider: Provider | None) -> str:
    own = environments.folder(name) if provider is None else None
    if own is not None:
        inner = package_digest(name, partial(environments.inside, own))
        return hashlib.sha256(f"{inner} {environments.digest(own)}".encode()).hexdigest()
    owner = _distribution(name, provider)
    used = [digest_of(other) for other in _submissions_used(owner, provider)]
    return digest_of(owner) if not used else hashlib.sha256("".join([digest_of(owner), *used]).encode()).hexdigest()


def _submissions_used(owner: Distribution, provider: Provider | None) -> list[Distribution]:
    """Returns the submissions that a distribution requires, directly or through others, by name."""
    used: dict[str, Distribution] = {}
    waiting = [owner]
    while waiting:
        for required in waiting.pop().requires or ():
            name = normalised(re.split(r"[^A-Za-z0-9._-]", required, maxsplit=1)[0])
            if name in used or name == normalised(owner.name):
                continue
            with contextlib.suppress(UserError):  # an extra's requirement need not be installed
                other = _distribution(name, provider)
                texts = other.read_text("entry_points.txt") or ""
                if any(group in texts for group in GROUPS):
                    used[name] = other
                    waiting.append(other)
    return [used[name] for name in sorted(used)]


def digest_of(owner: Distribution) -> str:
    """Returns the digest of a distribution's files, so that changed code is never taken for the old.

    Counted are the files that the installer recorded and everything in the folders of the packages. Left out are what
    the installer itself writes (metadata, scripts in `bin`), `__pycache__` (a worker does not read it for a
    submission's code, see `cloakbench.submissions.uncached`), and files of development tools' caches that hold no code.

    Raises:
        SubmissionError: No file is found.
    """
    files = {} if is_editable(owner) else dict(_recorded(owner))
    for root in source_roots(owner):
        files |= dict(_walk(root))
    if not files:
        message = f"expected the installed files of {owner.name} {owner.version}, found none"
        raise SubmissionError(message, f"Install it again: pip install --force-reinstall {owner.name}")
    size = sum(location.stat().st_size for location in files.values())
    if size > MOST_BYTES:
        message = f"expected at most {MOST_BYTES >> 30} GiB of files of {owner.name}, got {size >> 30} GiB"
        raise SubmissionError(message, "Leave out what its code does not need.")
    total = hashlib.sha256()
    for path in sorted(files):
        with files[path].open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{digest}  {path}\n".encode(errors="surrogateescape"))
    return total.hexdigest()


def _distribution(name: str, provider: Provider | None) -> Distribution:
    try:
        if provider is None:
            return distribution(name)
        return next(owner for owner in provider() if environments.name_of(owner) == normalised(name))
    except (PackageNotFoundError, StopIteration) as error:
        raise UserError(f"expected an installed distribution, got {name!r}", f"pip install {name}") from error


def is_editable(owner: Distribution) -> bool:
    """Returns whether a distribution is installed from a folder of its own; False where its metadata are damaged."""
    facts = _direct_url(owner).get("dir_info")
    return isinstance(facts, dict) and bool(facts.get("editable"))


def _direct_url(owner: Distribution) -> dict[str, object]:
    try:
        origin = json.loads(owner.read_text("direct_url.json") or "{}")
    except ValueError:
        return {}
    return origin if isinstance(origin, dict) else {}


def _counts(path: PurePosixPath) -> bool:
    if "__pycache__" in path.parts and path.suffix == ".pyc":
        return False
    return path.suffix in CODE or not TOOL_CACHES.intersection(path.parts)


def _recorded(owner: Distribution) -> Iterator[tuple[str, Path]]:
    for path in owner.files or ():
        is_metadata = path.parts[0].endswith((".dist-info", ".egg-info")) and path.suffix not in CODE
        is_script = path.parts[0] == ".." and path.parent.name in {"bin", "Scripts"}
        if _counts(path) and not is_metadata and not is_script:
            location = Path(str(path.locate()))
            if location.is_file():
                yield path.as_posix(), location


def _walk(root: Path) -> Iterator[tuple[str, Path]]:
    """Yields the files under a root that count, by their paths from its parent; links to folders are followed once."""
    if root.is_file():
        yield root.name, root
    visited: set[str] = set()
    for folder, subfolders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in visited:
            subfolders.clear()
            continue
        visited.add(real)
        for name in names:
            location = Path(folder, name)
            path = PurePosixPath(location.relative_to(root.parent).as_posix())
            if _counts(path) and location.is_file():
                yield path.as_posix(), location


def source_roots(owner: Distribution) -> list[Path]:
    """Returns the folders (and single modules) of a distribution's top-level packages; imports nothing."""
    roots: dict[Path, None] = {}
    for package in top_level(owner):
        roots |= dict.fromkeys(_locations(owner, package))
    return list(roots)


def top_level(owner: Distribution) -> list[str]:
    """Returns the names that can be imported of a distribution: recorded files', its metadata's, its entry points'."""
    names = {line.strip() for line in (owner.read_text("top_level.txt") or "").splitlines()}
    names |= {point.module.partition(".")[0] for point in owner.entry_points if point.group in GROUPS}
    for path in () if is_editable(owner) else owner.files or ():
        names.add(path.parts[0].partition(".")[0] if len(path.parts) == 1 else path.parts[0])
    return sorted(name for name in names if name.isidentifier())


def _locations(owner: Distribution, package: str) -> Iterable[Path]:
    """Returns the path of a top-level package: in the project of an editable install, else on the search path."""
    candidates: list[Path] = []
    url = str(_direct_url(owner).get("url", ""))
    if is_editable(owner) and url.startswith("file:"):
        root = Path(url2pathname(urlsplit(url).path))
        for base in (root, root / "src"):
            candidates += [base / package, base / f"{package}.py"]
    else:
        base = Path(str(owner.locate_file("")))
        candidates += [base / package, base / f"{package}.py"]
    present = [location for location in candidates if location.is_dir() or location.is_file()]
    return present[:1] or _on_search_path(package)


def _on_search_path(package: str) -> Iterable[Path]:
    # PathFinder alone: a finder that a distribution has installed would be a stranger's code.
    spec = PathFinder.find_spec(package, sys.path)
    if spec is None:
        return []
    if spec.submodule_search_locations is not None:
        return [Path(location) for location in spec.submodule_search_locations]
    return [Path(spec.origin)] if spec.origin else []


def importable_names(name: str) -> list[str]:
    """Returns the top-level names of a distribution and of the submissions that it requires; imports nothing."""
    owner = _distribution(name, environments.installed)
    names = set(top_level(owner))
    for other in _submissions_used(owner, environments.installed):
        names |= set(top_level(other))
    return sorted(names - {"cloakbench"})


def importable_roots(name: str) -> list[Path]:
    """Returns the folders, or single modules, of a distribution and of the submissions that it requires.

    Nothing is imported.

    Raises:
        UserError: No such distribution is installed.
    """
    environment = environments.folder(name)
    provider = None if environment is None else partial(environments.inside, environment)
    owner = _distribution(name, provider)
    roots: list[Path] = []
    for submission in (owner, *_submissions_used(owner, provider)):
        roots += source_roots(submission)
    return roots
