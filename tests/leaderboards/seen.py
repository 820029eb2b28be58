"""What a browser would see of the pages of a site."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path, PurePosixPath

from cloakbench.store.reading import Loaded
from cloakbench_leaderboards.board.board import view
from cloakbench_leaderboards.parts.page import Material
from cloakbench_leaderboards.scores.evidence import gather
from cloakbench_leaderboards.site import site

KINDS = {
    "index.html",
    "artists.html",
    "numbers.html",
    "equal.html",
    "missing.html",
    "attacks/index.html",
    "attacks/",
    "protections/index.html",
    "protections/",
    "cells/",
    "compare.html",
    "compare/",
    "history.html",
    "method.html",
}
"""Every kind of page: one path, or a folder of many."""


class SeenPage(HTMLParser):
    """What a browser would see."""

    VOID = ("meta", "link", "img", "br", "path", "circle", "input", "hr")

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.broken: list[str] = []
        self.feed(source)
        self.broken += self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.broken.append(tag)

    def handle_data(self, data):
        self.words.append(data)

    def all(self, *attributes: str) -> list[str]:
        values = []
        for _, attrs in self.tags:
            for attribute in attributes:
                if attribute in attrs:
                    values.append(attrs[attribute] or "")
        return values


def material_of(facts, records, source=Path("nowhere")):
    evidence = gather(Loaded(facts, records, []))
    return Material(evidence, view(evidence), source)


def made(facts, records, source=Path("nowhere")):
    return {file.path: file for file in site.files(material_of(facts, records, source))}


def pages(files):
    return {path: SeenPage(content.content().decode()) for path, content in files.items() if path.endswith(".html")}


def kind(path):
    return path if path in KINDS else f"{PurePosixPath(path).parts[0]}/"


def words(page):
    return " ".join(" ".join(page.words).split())
