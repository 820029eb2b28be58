"""The static site: pages, `board.json` and what they share, opened from a folder without network or script."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterable, Iterator
from dataclasses import fields
from functools import cache, partial
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from cloakbench.errors import UserError
from cloakbench.store.reading import load
from cloakbench_leaderboards.board.board import view
from cloakbench_leaderboards.board.view import Board
from cloakbench_leaderboards.pages import changes, front, history
from cloakbench_leaderboards.parts import bundles
from cloakbench_leaderboards.parts.page import INDEX, Asset, Kind, Material, Page
from cloakbench_leaderboards.scores.evidence import gather
from cloakbench_leaderboards.site import behind
from cloakbench_leaderboards.site.rendering import Renderer
from cloakbench_leaderboards.site.writing import File, Written, publish

DATA = "board.json"
KINDS: tuple[Kind, ...] = (front.pages, behind.pages, bundles.pages, changes.pages, history.pages)
"""Every kind of page, in the order in which they are made."""


def build(source: Path, out: Path, suite: str | None = None, unofficial: bool = False) -> Path:
    """Builds the board of `suite` from a store or reference folder and returns the path of its front page.

    The site takes the place of the old one whole; what has not changed is not written. Raises UserError as `material`
    and `put` do.
    """
    return put(material(source, suite, unofficial), out)


def material(source: Path, suite: str | None = None, unofficial: bool = False) -> Material:
    """Returns what the pages are made of.

    Raises UserError where there is nothing to build from, or where conditions of the gold run fail; an `unofficial`
    board is made nevertheless and says so.
    """
    evidence = gather(load(source, suite))
    board = view(evidence)
    if board.gold and not board.gold.holds and not unofficial:
        failed = " ".join(f"{check.name}: {check.words}" for check in board.gold.checks if check.verdict == "fails")
        raise UserError(
            f"expected a gold run that holds, got conditions that fail. {failed}",
            "run what is missing, or build an unofficial board that says so: cloakbench board --unofficial",
        )
    return Material(evidence, board, source)


def put(made: Material, out: Path) -> Path:
    """Writes the site and returns the path of its front page; raises UserError where the folder can't be written."""
    try:
        write(made, out)
    except OSError as error:
        raise UserError(f"the board cannot be written to {out}: {error.strerror}", "choose another --out") from error
    return out / INDEX


def write(material: Material, out: Path, kinds: Iterable[Kind] = KINDS) -> Written:
    """Writes the site of what is known to `out` and returns how much of it changed."""
    gc.freeze()  # what is known does not die meanwhile; to look through it again and again takes a tenth of the time
    try:
        return publish(out, files(material, kinds))
    finally:
        gc.unfreeze()


def files(material: Material, kinds: Iterable[Kind] = KINDS) -> Iterator[File]:
    """Yields every file of the site; a page is rendered only where the file is asked to be made."""
    made = [each for kind in kinds for each in kind(material)]
    renderer = Renderer(material.board, {each.path for each in made if isinstance(each, Page)})
    for each in made:
        if isinstance(each, Asset):
            yield File(each.path, each.recipe, each.content)
        else:
            yield File(each.path, renderer.recipe(each), partial(renderer.html, each))
    yield File(DATA, "", lambda: serialise(material.board).encode())
    for name, content in _static():
        yield File(f"static/{name}", "", content.read_bytes)


def _static() -> list[tuple[str, Path]]:
    folder = Path(str(resources.files("cloakbench_leaderboards") / "static"))
    return [(file.name, file) for file in sorted(folder.iterdir()) if file.is_file()]


def schema() -> str:
    """Returns the JSON schema of `board.json`, generated from the view-model."""
    return json.dumps(TypeAdapter(Board).json_schema(mode="serialization"), sort_keys=True, indent=1) + "\n"


def serialise(view: Board) -> str:
    """Returns the board as canonical JSON: exactly what the pages show, without sections that it does not have.

    One line for each element of a list at the top, so that two boards compare by lines.
    """
    shown = sorted((each.name, getattr(view, each.name)) for each in fields(view))
    lines = [f"{_json(name)}: {_lines(value)}" for name, value in shown if value is not None]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _lines(value: object) -> str:
    if not isinstance(value, tuple) or not value:
        return _json(value)
    return "[\n" + ",\n".join(_json(each) for each in value) + "\n]"


def _json(value: object) -> str:
    # Without indentation the encoder is ten times as fast, and it asks for one dataclass after the other.
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, default=_fields)


def _fields(value: Any) -> dict[str, object]:
    return {name: getattr(value, name) for name in _names(value.__class__)}


@cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(each.name for each in fields(kind))
