"""The digest of a distribution's files: what a protection's code is, beside the version it claims."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import re
from collections.abc import Iterator
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit
from urllib.request import url2pathname

from cloakbench.errors import SubmissionError, UserError
from cloakbench.submissions import environments
from cloakbench.submissions.discovery import GROUP, Provider
from cloakbench.submissions.naming import normalised

_LEFT_OUT = {"__pycache__", "tests", "..", ".mypy_cache", ".pytest_cache", ".ruff_cache"}


@cache
def package_digest(name: str, provider: Provider | None = None) -> str:
    """Returns the SHA-256 over the package files of the distribution called `name`, once a process.

    The digest is over lines `SHA-256  path` sorted by path. Caches, compiled files, tests and installer metadata are
    left out, so that an ordinary and an editable install of the same sources agree. Nothing is imported.

    Where it requires other submissions, whose code it then uses, their digests are part of its own; where it has an
    environment of its own, so is what else is installed there.
    """
    own = environments.folder(name) if provider is None else None
    if own is not None:
        theirs = package_digest(name, lambda: environments.inside(own))
        return hashlib.sha256(f"{theirs} {environments.digest(own)}".encode()).hexdigest()
    owner = _distribution(name, provider)
    used = [digest_of(other) for other in _submissions_used(owner, provider)]
    return digest_of(owner) if not used else hashlib.sha256("".join([digest_of(owner), *used]).encode()).hexdigest()


def _submissions_used(owner: Distribution, provider: Provider | None) -> list[Distribution]:
    """Returns the submissions that a distribution requires, directly or through others, by name."""
    found: dict[str, Distribution] = {}
    waiting = [owner]
    while waiting:
        for required in waiting.pop().requires or ():
            name = normalised(re.split(r"[^A-Za-z0-9._-]", required, maxsplit=1)[0])
            if name in found or name == normalised(owner.name):
                continue
            with contextlib.suppress(UserError):  # an extra's requirement need not be installed
                other = _distribution(name, provider)
                if GROUP in (other.read_text("entry_points.txt") or ""):
                    found[name] = other
                    waiting.append(other)
    return [found[name] for name in sorted(found)]


def digest_of(owner: Distribution) -> str:
    """Returns the digest of a distribution's files; raises SubmissionError where none are found."""
    files = {} if _is_editable(owner) else dict(_recorded(owner))
    files = files or dict(_sources(owner))
    if not files:
        message = f"expected the installed files of {owner.name} {owner.version}, found none"
        raise SubmissionError(message, f"Install it again: pip install --force-reinstall {owner.name}")
    lines = (f"{hashlib.sha256(files[path].read_bytes()).hexdigest()}  {path}\n" for path in sorted(files))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _distribution(name: str, provider: Provider | None) -> Distribution:
    try:
        if provider is None:
            return distribution(name)
        return next(found for found in provider() if normalised(found.name) == normalised(name))
    except (PackageNotFoundError, StopIteration) as error:
        raise UserError(f"expected an installed distribution, got {name!r}", f"pip install {name}") from error


def _is_editable(owner: Distribution) -> bool:
    return bool(_direct_url(owner).get("dir_info", {}).get("editable", False))


def _direct_url(owner: Distribution) -> dict[str, dict[str, bool]]:
    found = json.loads(owner.read_text("direct_url.json") or "{}")
    return found if isinstance(found, dict) else {}


def _counts(path: PurePosixPath) -> bool:
    return path.suffix != ".pyc" and not _LEFT_OUT.intersection(path.parts)


def _recorded(owner: Distribution) -> Iterator[tuple[str, Path]]:
    for path in owner.files or ():
        is_metadata = path.parts[0].endswith((".dist-info", ".egg-info")) or path.parts[0].startswith("__editable__")
        if _counts(path) and not is_metadata and path.suffix != ".pth":
            place = Path(str(path.locate()))
            if place.is_file():
                yield path.as_posix(), place


def _sources(owner: Distribution) -> Iterator[tuple[str, Path]]:
    for package in _packages(owner):
        for top in _places(owner, package):
            for place in sorted(top.rglob("*")) if top.is_dir() else [top]:
                path = PurePosixPath(place.relative_to(top.parent).as_posix())
                if place.is_file() and _counts(path):
                    yield path.as_posix(), place


def _packages(owner: Distribution) -> list[str]:
    named = {line.strip() for line in (owner.read_text("top_level.txt") or "").splitlines() if line.strip()}
    offered = {point.module.partition(".")[0] for point in owner.entry_points if point.group == GROUP}
    return sorted((named | offered) - _LEFT_OUT)


def _places(owner: Distribution, package: str) -> list[Path]:
    url = str(_direct_url(owner).get("url", ""))
    if url.startswith("file:"):
        root = Path(url2pathname(urlsplit(url).path))
        candidates = [place for base in (root, root / "src") for place in (base / package, base / f"{package}.py")]
        found = [place for place in candidates if place.exists()]
        if found:
            return found[:1]
    spec = importlib.util.find_spec(package)  # a top-level name: looked for, not imported
    if spec is None:
        return []
    if spec.submodule_search_locations is not None:
        return [Path(place) for place in spec.submodule_search_locations]
    return [Path(spec.origin)] if spec.origin else []
