"""From a page to HTML: one template environment, everything from records escaped."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import metadata, resources
from itertools import count
from pathlib import Path

import jinja2
from markupsafe import Markup

from cloakbench_leaderboards.board import vega
from cloakbench_leaderboards.board.view import Board, TradeOffCurve
from cloakbench_leaderboards.parts.page import INDEX, Page

LIBRARIES = ("altair", "jinja2", "vl-convert-python")
NAVIGATION = (
    (INDEX, "Leaderboard"),
    ("attacks/index.html", "Attacks"),
    ("protections/index.html", "Protections"),
    ("compare.html", "Compare"),
    ("changes.html", "Changes"),
    ("history.html", "History"),
    ("method.html", "Method"),
)


@dataclass(frozen=True, slots=True)
class Chrome:
    """What stands around every page: nothing in it changes with an entry, or all pages would."""

    suite: str
    version: int
    title: str
    banner: str
    unofficial: str
    demonstration: str
    navigation: tuple[tuple[str, str], ...]
    """Paths and labels of the pages that are there."""


class Renderer:
    """Turns pages into HTML."""

    def __init__(self, board: Board, paths: set[str]) -> None:
        self._chrome = Chrome(
            suite=board.suite,
            version=board.version,
            title=board.title,
            banner=board.banner,
            unofficial=board.gold.banner if board.gold else "",
            demonstration=board.demonstration,
            navigation=tuple((path, label) for path, label in NAVIGATION if path in paths),
        )
        self._code = _code()
        self._environment = jinja2.Environment(
            loader=jinja2.PackageLoader("cloakbench_leaderboards", "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        # In this order and without spaces: the same bytes from the same records, and few of them.
        self._environment.policies["json.dumps_kwargs"] = {"sort_keys": True, "separators": (",", ":")}
        self._environment.globals["there"] = paths.__contains__

    def recipe(self, page: Page) -> str:
        """Returns what tells this page's bytes from others: its context, what stands around it, and our own code."""
        return hashlib.sha256(repr((self._code, self._chrome, page)).encode("utf-8", "surrogatepass")).hexdigest()

    def html(self, page: Page) -> bytes:
        """Returns the page."""
        root = "../" * page.path.count("/")
        numbers = count()

        def draw(curve: TradeOffCurve) -> Markup:
            # Vega escapes every text in the SVG that it writes.
            return Markup(vega.svg(curve, next(numbers)))  # noqa: S704

        template = self._environment.get_template(page.template)
        return (template.render(page.context, site=self._chrome, page=page, root=root, draw=draw) + "\n").encode()


def _code() -> str:
    """Returns a digest of all that makes pages: our modules and templates, and the libraries' versions."""
    digest = hashlib.sha256(repr([(name, metadata.version(name)) for name in LIBRARIES]).encode())
    package = Path(str(resources.files("cloakbench_leaderboards")))
    for file in sorted(package.rglob("*")):
        if file.suffix in (".py", ".html"):
            digest.update(file.read_bytes())
    return digest.hexdigest()
