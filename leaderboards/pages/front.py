"""The front page: who protects how much at which quality."""

from __future__ import annotations

from collections.abc import Iterator

from leaderboards.pages.page import INDEX, Material, Page


def pages(material: Material) -> Iterator[Page]:
    """Yields the front page."""
    board = material.board
    yield Page(INDEX, "front.html", board.title, {"board": board}, section=INDEX)
