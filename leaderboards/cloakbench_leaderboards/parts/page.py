"""The result of a kind of page: pages as template and context, and other files."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cloakbench_leaderboards.board.view import Board
from cloakbench_leaderboards.scores.evidence import Evidence

INDEX = "index.html"
NAME_LIMIT = 60
# File names that some systems reserve, or that the site itself uses.
_TAKEN = re.compile(r"index|con|prn|aux|nul|(com|lpt)[0-9]")
_DIGEST = re.compile(r"-[0-9a-f]{16}$")


@dataclass(frozen=True, slots=True)
class Crumb:
    """A page above this one."""

    label: str
    path: str
    """From the site's folder."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page."""

    path: str
    """From the site's folder, with `/`, such as `attacks/jpeg.html`; made of `slug`s."""
    template: str
    """Name of a template that extends `base.html`."""
    title: str
    context: Mapping[str, object]
    """Names of the template."""
    section: str = ""
    """Path of the entry of the navigation that it belongs to."""
    crumbs: tuple[Crumb, ...] = ()
    """The pages above it, the highest first; the leaderboard itself is left out."""
    scripts: tuple[str, ...] = ()
    """Shared scripts of the page, such as `static/front.js`; all content is readable without them."""


@dataclass(frozen=True, slots=True)
class Asset:
    """One file that is not a page: an image, a bundle."""

    path: str
    """From the site's folder, with `/`."""
    content: Path | Callable[[], bytes]
    """A file to copy, or a function that returns the bytes."""

    def read(self) -> bytes:
        """Returns the bytes."""
        return self.content.read_bytes() if isinstance(self.content, Path) else self.content()


@dataclass(frozen=True)
class Material:
    """The input of all pages."""

    evidence: Evidence
    board: Board
    source: Path
    """The store or reference folder of the records."""
    all_boards: str = ""
    """Page that lists all boards of the site, from the board's folder; empty for a board that stands alone."""


Kind = Callable[[Material], Iterable[Page | Asset]]
"""A kind of page."""


def slug(name: str) -> str:
    """Returns a name as part of a path: safe on every file system, and different for every name.

    Example:
        >>> slug("photoguard"), slug("../../etc/passwd")
        ('photoguard', 'etc-passwd-3754d6cb3a38e118')
        >>> slug("impasto[base=advdm,clip=false]")
        'impasto-base-advdm-clip-false-3be2ac709150d2bb'
    """
    safe = re.sub(r"[^a-z0-9]+", "-", name[: 2 * NAME_LIMIT].lower())[:NAME_LIMIT].strip("-")
    if safe and safe == name and not _TAKEN.fullmatch(safe) and not _DIGEST.search(safe):
        return safe
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{safe or 'name'}-{digest}"
