"""Scripts that pages share: our own, and the two libraries that they use, each one file for the whole site."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from cloakbench_leaderboards.parts.page import Asset, Material

TABLES, PLOTS, FRONT = "static/tables.js", "static/plots.js", "static/front.js"
_EXPORT = re.compile(r"export\{([^}]*)\};?")


def pages(material: Material) -> Iterator[Asset]:
    """Yields the libraries; modules may not be loaded from a folder, so that they become plain scripts."""
    del material
    yield Asset(TABLES, _tables, f"itables {metadata.version('itables')}")
    yield Asset(PLOTS, _plots, f"vl-convert {metadata.version('vl-convert-python')}")


def _tables() -> bytes:
    # Importing the package would bring its notebooks along.
    found = importlib.util.find_spec("itables")
    assert found is not None
    assert found.submodule_search_locations is not None
    source = (Path(found.submodule_search_locations[0]) / "html" / "dt_bundle.js").read_text("utf-8")
    return _plain(_EXPORT.sub(_assignments, source)).encode()


def _assignments(export: re.Match[str]) -> str:
    pairs = [pair.strip().split(" as ") for pair in export[1].split(",")]
    default = next(pair[0] for pair in pairs if pair[-1] == "default")
    return f"window.cloakbenchTables={default};"


def _plots() -> bytes:
    import vl_convert

    bundle: str = vl_convert.javascript_bundle()  # type: ignore[call-arg] # its stub asks for what it does not need
    return _plain(bundle).encode()


def _plain(source: str) -> str:
    return f"(()=>{{{source}\n}})();\n"
