"""The static site: pages, `board.json` and shared files, opened from a folder without network or script."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import fields
from functools import cache, partial
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from cloakbench.errors import UserError
from cloakbench.store.paths import StorePaths
from cloakbench.store.reading import load
from cloakbench_leaderboards.board.board import view
from cloakbench_leaderboards.board.view import Board
from cloakbench_leaderboards.pages import artists, attack, cell, changes, compare, front, history, method, protection
from cloakbench_leaderboards.parts import bundles, exports
from cloakbench_leaderboards.parts.lookup import Lookup
from cloakbench_leaderboards.parts.page import INDEX, Asset, Kind, Material, Page
from cloakbench_leaderboards.parts.pictures import PictureFinder
from cloakbench_leaderboards.scores.evidence import gather
from cloakbench_leaderboards.scores.gold import GoldVerdict
from cloakbench_leaderboards.site.rendering import Renderer
from cloakbench_leaderboards.site.writing import File, publish
from cloakbench_leaderboards.survey import page as survey_page

DATA = "board.json"


def drilldown(material: Material) -> Iterator[Page | Asset]:
    """Yields the pages behind the front page, which share one `Lookup`."""
    lookup = Lookup(material.evidence, material.board)
    pictures = PictureFinder(StorePaths(material.source), cell.allowance(lookup))
    yield from attack.pages(lookup, pictures)
    yield from protection.pages(lookup, material.board.protections, pictures)
    yield from compare.pages(lookup, pictures)
    yield from method.pages(lookup, material.board.noise)
    yield from cell.pages(lookup, pictures)


KINDS: tuple[Kind, ...] = (
    front.pages,
    drilldown,
    artists.pages,
    changes.pages,
    history.pages,
    bundles.pages,
    exports.pages,
)
"""Every kind of page, in the order of writing."""


def build(source: Path, out: Path, suite: str | None = None, unofficial: bool = False, survey: bool = False) -> Path:
    """Builds the board of a suite from a store or reference folder.

    Args:
        source: Store or reference folder.
        out: Folder of the site; replaced as a whole.
        suite: Name of the suite; needed where the source holds more than one.
        unofficial: Whether to build a board whose checks with known answers fail.
        survey: Whether to add the page of a survey of viewers.

    Returns:
        The path of the front page.

    Raises:
        UserError: As `material` and `put` do, or a survey finds no pictures.
    """
    return put(material(source, suite, unofficial), out, kinds(survey))


def kinds(survey: bool = False) -> tuple[Kind, ...]:
    """Returns the kinds of pages of a site, with or without the survey of viewers."""
    return (*KINDS, survey_page.pages) if survey else KINDS


def material(source: Path, suite: str | None = None, unofficial: bool = False) -> Material:
    """Returns the input of all pages.

    Raises:
        UserError: There are no records, or a check with known answers fails and the board is not `unofficial`.
    """
    evidence = gather(load(source, suite))
    board = view(evidence)
    if board.gold and board.gold.verdict is not GoldVerdict.HOLDS and not unofficial:
        failed = []
        for check in board.gold.checks:
            if check.verdict is not GoldVerdict.HOLDS:
                failed.append(f"  {check.name}: {check.words}")
        raise UserError(
            f"expected checks with known answers that hold, got {len(failed)} that do not:\n{chr(10).join(failed)}",
            "Run what is missing, or build an unofficial leaderboard that says so: "
            f"cloakbench board {evidence.suite.name} --store {source} --unofficial",
        )
    return Material(evidence, board, source)


def put(material: Material, out: Path, kinds: Iterable[Kind] = KINDS) -> Path:
    """Writes the site and returns the path of its front page; raises UserError where the folder can't be written."""
    return put_files(files(material, kinds), out)


def put_files(files: Iterable[File], out: Path) -> Path:
    """Writes files as a site and returns its front page; raises UserError where the folder can't be written."""
    try:
        publish(out, files)
    except OSError as error:
        raise UserError(f"the board cannot be written to {out}: {error.strerror}", "choose another --out") from error
    return out / INDEX


def write(material: Material, out: Path, kinds: Iterable[Kind] = KINDS) -> int:
    """Writes the site to a folder and returns the number of files."""
    return publish(out, files(material, kinds))


def files(material: Material, kinds: Iterable[Kind] = KINDS) -> Iterator[File]:
    """Yields every file of the site; a page is rendered when its content is asked for."""
    optional = {changes.PATH} if changes.exists(material) else set()
    renderer = Renderer(material, optional)
    for kind in kinds:
        for item in kind(material):
            content = item.content if isinstance(item, Asset) else partial(renderer.html, item)
            yield File(item.path, content)
    yield File(DATA, partial(_board_bytes, material.board))
    for file in _static():
        yield File(f"static/{file.name}", file)


def _board_bytes(board: Board) -> bytes:
    return serialise(board).encode()


def _static() -> list[Path]:
    folder = Path(str(resources.files("cloakbench_leaderboards") / "static"))
    return sorted(file for file in folder.iterdir() if file.is_file())


def schema() -> str:
    """Returns the JSON schema of `board.json`, generated from the view-model."""
    return json.dumps(TypeAdapter(Board).json_schema(mode="serialization"), sort_keys=True, indent=1) + "\n"


def serialise(view: Board) -> str:
    """Returns the board as canonical JSON: the content of the pages, without the sections that it does not have.

    Each element of a list at the top has a line of its own, so that two boards can be compared by lines.
    """
    values = {field.name: getattr(view, field.name) for field in fields(view)}
    lines = []
    for name, value in sorted(values.items()):
        if value is not None:
            lines.append(f"{_json(name)}: {_lines(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _lines(value: object) -> str:
    if not isinstance(value, tuple) or not value:
        return _json(value)
    return "[\n" + ",\n".join(map(_json, value)) + "\n]"


def _json(value: object) -> str:
    # Without indentation the encoder is ten times as fast, and it needs only one dataclass at a time.
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, default=_fields)


def _fields(value: Any) -> dict[str, object]:
    return {name: getattr(value, name) for name in _names(value.__class__)}


@cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))
