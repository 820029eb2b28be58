"""One site of several boards: those of all reference folders in a folder, such as all versions of a suite."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from cloakbench.errors import UserError
from cloakbench.store.paths import StorePaths
from cloakbench_leaderboards.parts.page import INDEX, Material, slug
from cloakbench_leaderboards.site import site
from cloakbench_leaderboards.site.rendering import notice, templates
from cloakbench_leaderboards.site.writing import File


@dataclass(frozen=True, slots=True)
class BoardRow:
    """One board in the list of all boards."""

    folder: str
    title: str
    suite: str
    version: int
    updated: str
    protections: int
    gold: str
    """Whether the checks with known answers hold; empty for a board without one."""
    notice: str


def build(source: Path, out: Path, unofficial: bool = False) -> Path:
    """Builds the boards of all reference folders in a folder, and a page that lists them.

    Args:
        source: Folder of reference folders; other folders in it are passed over.
        out: Folder of the site; replaced as a whole. The board of `source/NAME` is written to `out/NAME`.
        unofficial: Whether to build boards whose checks with known answers fail.

    Returns:
        The path of the page that lists the boards.

    Raises:
        UserError: There is no reference folder, or a board cannot be built.
    """
    folders = _reference_folders(source)
    materials = {slug(folder.name): site.material(folder, None, unofficial) for folder in folders}
    return site.put_files(_files(materials), out)


def _reference_folders(source: Path) -> Sequence[Path]:
    folders = []
    for folder in sorted(source.iterdir()) if source.is_dir() else []:
        if folder.is_dir() and StorePaths(folder).is_reference:
            folders.append(folder)
    if not folders:
        raise UserError(
            f"expected a folder of reference folders, got {source}, which holds none", "cloakbench export makes one"
        )
    return folders


def _files(materials: dict[str, Material]) -> Iterator[File]:
    """Yields the files of every board below its folder, then the list of boards."""
    for folder, material in materials.items():
        for file in site.files(replace(material, all_boards=f"../{INDEX}")):
            yield File(f"{folder}/{file.path}", file.content)
    rows = [_row(folder, material) for folder, material in materials.items()]
    yield File(INDEX, partial(_html, rows))


def _row(folder: str, material: Material) -> BoardRow:
    board = material.board
    gold = str(board.gold.verdict) if board.gold else ""
    protections = len(material.evidence.submissions)
    return BoardRow(
        folder, board.title, board.suite, board.version, board.updated, protections, gold, notice(material.source)
    )


def _html(rows: list[BoardRow]) -> bytes:
    return (templates().get_template("boards.html").render(boards=rows) + "\n").encode()
