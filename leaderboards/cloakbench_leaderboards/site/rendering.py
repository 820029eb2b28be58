"""Turns a page into HTML: one template environment, in which every text from records is escaped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import jinja2

from cloakbench.files import read_unlinked
from cloakbench.printable import replace_hidden
from cloakbench.store.paths import NOTICE_FILE
from cloakbench_leaderboards import text
from cloakbench_leaderboards.board.board import commits
from cloakbench_leaderboards.board.words import GLOSSARY
from cloakbench_leaderboards.parts import project
from cloakbench_leaderboards.parts.page import INDEX, Material, Page

NAVIGATION = (
    (INDEX, "Leaderboard"),
    ("attacks/index.html", "Attacks"),
    ("protections/index.html", "Protections"),
    ("compare.html", "Compare"),
    ("changes.html", "Changes"),
    ("history.html", "History"),
    ("method.html", "Method"),
    ("artists.html", "For artists"),
)
NOTICE_LIMIT = 600
OPTIONAL = {"changes.html"}
"""Pages that a board may lack."""


@dataclass(frozen=True, slots=True)
class Chrome:
    """Header and footer of every page."""

    suite: str
    version: int
    title: str
    updated: str
    commit: str
    notice: str
    """A maintainer's note on all pages, such as that the records are superseded."""
    banner: str
    unofficial: str
    demonstration: str
    navigation: tuple[tuple[str, str], ...]
    """Paths and labels of the pages that exist."""
    project: tuple[tuple[str, str], ...]
    """Addresses and labels of the project's own sites, such as its repository."""


class Renderer:
    """Renders the pages of one board."""

    def __init__(self, material: Material, optional: set[str]) -> None:
        """Prepares the templates; `optional` are the paths of `OPTIONAL` pages that exist."""
        absent = OPTIONAL - optional
        board = material.board
        self._chrome = Chrome(
            suite=board.suite,
            version=board.version,
            title=board.title,
            updated=board.updated,
            commit=text.listed(commits(material.evidence), 2),
            notice=notice(material.source),
            banner=board.banner,
            unofficial=board.gold.banner if board.gold else "",
            demonstration=board.demonstration,
            navigation=_navigation(material.all_boards, absent),
            project=project.links(),
        )
        self._environment = templates()

    def html(self, page: Page) -> bytes:
        """Returns the page as UTF-8."""
        root = "../" * page.path.count("/")
        template = self._environment.get_template(page.template)
        return (template.render(page.context, site=self._chrome, page=page, root=root) + "\n").encode()


def templates() -> jinja2.Environment:
    """Returns the environment of all templates, which escapes every text and replaces hidden characters in it."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("cloakbench_leaderboards", "templates"),
        autoescape=True,
        finalize=_shown,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["glossary"] = dict(GLOSSARY)  # heads of tables explain these words
    # A fixed order without spaces: the same records give the same bytes, and few of them.
    environment.policies["json.dumps_kwargs"] = {"sort_keys": True, "separators": (",", ":")}
    return environment


def _shown(value: object) -> object:
    """Returns what a template shows of a value: of a text, nothing that hides or reorders what stands around it."""
    return replace_hidden(value, "\n\t") if type(value) is str else value


def _navigation(all_boards: str, absent: set[str]) -> tuple[tuple[str, str], ...]:
    """Returns paths and labels of the pages that exist, the list of all boards first where there is one."""
    links = [(all_boards, "All boards")] if all_boards else []
    for path, label in NAVIGATION:
        if path not in absent:
            links.append((path, label))
    return tuple(links)


def notice(source: Path) -> str:
    """Returns the maintainer's note of a store or reference folder; empty where there is none, or a link."""
    try:
        return text.plain(read_unlinked(source / NOTICE_FILE).decode("utf-8", "replace"), NOTICE_LIMIT)
    except OSError:
        return ""
