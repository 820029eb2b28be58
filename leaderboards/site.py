"""The static page: `index.html`, `style.css` and `board.json`, opened from a folder without network or script."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib import resources
from pathlib import Path

import jinja2
from markupsafe import Markup

from benchmark.errors import UserError
from benchmark.files import write_whole
from leaderboards import plots
from leaderboards.board import board
from leaderboards.source import load
from leaderboards.view import Board

PAGE = "index.html"
STYLE = "style.css"
DATA = "board.json"


def build(source: Path, out: Path, suite: str | None = None) -> Path:
    """Builds the board of `suite` from a store or reference folder and returns the path of its page.

    The page is replaced last and whole. Raises UserError where there is nothing to build from.
    """
    view = board(load(source, suite))
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
    drawings = {
        # Vega escapes every text in the SVG that it writes.
        section.anchor: Markup(plots.svg(section.curve, number))  # noqa: S704
        for number, section in enumerate(view.attacks)
        if section.curve is not None
    }
    return environment.get_template("board.html").render(board=view, drawings=drawings, data=DATA, style=STYLE) + "\n"


def serialise(view: Board) -> str:
    """Returns the board as canonical JSON: exactly what the page shows, without sections that it does not have."""
    shown = {name: value for name, value in asdict(view).items() if value is not None}
    return json.dumps(shown, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=1) + "\n"
