"""What a kind of page returns: pages as template and context, and files beside them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cloakbench_leaderboards.board.view import Board
from cloakbench_leaderboards.scores.evidence import Evidence

INDEX = "index.html"
NAME_LIMIT = 60
# Names that a file may not have everywhere, or that the site itself uses.
_TAKEN = {"index", "con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}
_DIGEST = re.compile(r"-[0-9a-f]{16}$")


@dataclass(frozen=True, slots=True)
class Crumb:
    """A page above this one."""

    label: str
    path: str
    """From the site's folder."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page. It is rendered only where something of it changed, so all that it shows stands in its context."""

    path: str
    """From the site's folder, with `/`, such as `attacks/jpeg.html`; made of `slug`s."""
    template: str
    """Name of a template that extends `base.html`."""
    title: str
    context: Mapping[str, object]
    """Names of the template: frozen dataclasses, tuples, mappings, text and numbers, whose `repr` tells them apart."""
    section: str = ""
    """Path of the entry of the navigation that it belongs to."""
    crumbs: tuple[Crumb, ...] = ()
    """The pages above it, the highest first; the leaderboard itself is left out."""
    scripts: tuple[str, ...] = ()
    """Shared scripts that make it better, such as `static/site.js`; it has to say all without them."""


@dataclass(frozen=True, slots=True)
class Asset:
    """One file that is not a page: an image, a bundle."""

    path: str
    """From the site's folder, with `/`."""
    content: Path | Callable[[], bytes] = field(repr=False)
    """A file to copy, or what makes the bytes."""
    recipe: str = ""
    """Tells one content from another, where it is made: it is made anew only where this changed."""


@dataclass(frozen=True)
class Material:
    """All that pages are made of."""

    evidence: Evidence
    board: Board
    source: Path
    """The store or reference folder that was read."""


Kind = Callable[[Material], Iterable[Page | Asset]]
"""A kind of page."""


def slug(name: str) -> str:
    """Returns a name as part of a path: safe on every file system, and another one for every other name.

    Example:
        >>> slug("photoguard"), slug("../../etc/passwd")
        ('photoguard', 'etc-passwd-3754d6cb3a38e118')
        >>> slug("impasto[base=advdm,clip=false]")
        'impasto-base-advdm-clip-false-3be2ac709150d2bb'
    """
    kept = re.sub(r"[^a-z0-9]+", "-", name[: 2 * NAME_LIMIT].lower())[:NAME_LIMIT].strip("-")
    if kept and kept == name and kept not in _TAKEN and not _DIGEST.search(kept):
        return kept
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{kept or 'name'}-{digest}"
