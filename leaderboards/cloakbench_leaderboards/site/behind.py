"""The pages behind the front page, which share what they look up."""

from __future__ import annotations

from collections.abc import Iterator

from cloakbench.store.paths import StorePaths
from cloakbench_leaderboards.pages import attack, cell, compare, method, protection
from cloakbench_leaderboards.parts.lookup import Lookup
from cloakbench_leaderboards.parts.page import Asset, Material, Page
from cloakbench_leaderboards.parts.pictures import PictureFinder


def pages(material: Material) -> Iterator[Page | Asset]:
    """Yields attacks, protections, and the page behind each number with its pictures."""
    look = Lookup(material.evidence, material.board)
    yield from attack.pages(look)
    yield from protection.pages(look, material.board.protections)
    yield from compare.pages(look)
    yield from method.pages(look, material.board.noise)
    yield from cell.pages(look, PictureFinder(StorePaths(material.source), cell.allowance(look)))
