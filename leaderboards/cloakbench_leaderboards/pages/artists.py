"""The page for artists: what protections can do, what they cannot, and how to use one."""

from __future__ import annotations

from collections.abc import Iterator

from cloakbench_leaderboards.board.completeness import completeness, order
from cloakbench_leaderboards.board.findings import findings
from cloakbench_leaderboards.parts.page import Material, Page

PATH = "artists.html"


def pages(material: Material) -> Iterator[Page]:
    """Yields the page."""
    evidence = material.evidence
    shown = findings(evidence, order(evidence), completeness(evidence))
    yield Page(PATH, "artists.html", "For artists", {"findings": shown}, section=PATH)
