"""The static page: `index.html`, `style.css` and `board.json`, opened from a folder without network or script."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib import resources
from pathlib import Path

import jinja2
from markupsafe import Markup
from pydantic import TypeAdapter

from benchmark.errors import UserError
from benchmark.files import write_whole
from leaderboards import plots
from leaderboards.board import board
from leaderboards.source import load
from leaderboards.view import Board, Curve

PAGE = "index.html"
STYLE = "style.css"
DATA = "board.json"


def build(source: Path, out: Path, suite: str | None = None, unofficial: bool = False) -> Path:
    """Builds the board of `suite` from a store or reference folder and returns the path of its page.

    The page is replaced last and whole. Raises UserError where there is nothing to build from, or where conditions of
    the gold run fail; an `unofficial` board is built nevertheless and says so.
    """
    view = board(load(source, suite))
    if view.gold and not view.gold.holds and not unofficial:
        failed = " ".join(f"{check.name}: {check.words}" for check in view.gold.checks if check.verdict == "fails")
        raise UserError(
            f"expected a gold run that holds, got conditions that fail. {failed}",
            "run what is missing, or build an unofficial board that says so: cloakbench board --unofficial",
        )
    page, data = render(view), serialise(view)
    style = (resources.files("leaderboards") / "static" / STYLE).read_text("utf-8")
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, content in ((STYLE, style), (DATA, data), (PAGE, page)):
            write_whole(out / name, content.encode())
    except OSError as error:
        raise UserError(f"the board cannot be written to {out}: {error.strerror}", "choose another --out") from error
    return out / PAGE


def render(view: Board) -> str:
    """Returns the page as HTML; everything from records is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("leaderboards", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    curves = [
        (section.anchor, curve)
        for section in view.attacks
        for curve in (section.curve, *section.more_curves)
        if curve is not None
    ]
    drawings: dict[str, list[tuple[Curve, Markup]]] = {}
    for number, (anchor, curve) in enumerate(curves):
        # Vega escapes every text in the SVG that it writes.
        drawings.setdefault(anchor, []).append((curve, Markup(plots.svg(curve, number))))  # noqa: S704
    return environment.get_template("board.html").render(board=view, drawings=drawings, data=DATA, style=STYLE) + "\n"


def schema() -> str:
    """Returns the JSON schema of `board.json`, generated from the view-model."""
    return json.dumps(TypeAdapter(Board).json_schema(mode="serialization"), sort_keys=True, indent=1) + "\n"


def serialise(view: Board) -> str:
    """Returns the board as canonical JSON: exactly what the page shows, without sections that it does not have."""
    shown = {name: value for name, value in asdict(view).items() if value is not None}
    return json.dumps(shown, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=1) + "\n"
