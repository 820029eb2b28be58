"""The plot library of the site, one file that pages load when a reader first uses a plot."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from cloakbench_leaderboards.parts.page import Asset, Material

PLOTS, FRONT = "static/plots.js", "static/front.js"
DRAW = "drawPlot"
"""Function of the library: it draws a compiled plot into an element and returns a promise."""
_SLIM_VERSIONS = ("6.2.0", "7.0.2")
"""The versions of Vega and vega-embed that vl-convert holds with the modules of `_SLIM`."""
# vl-convert holds each module under the address it was once taken from; nothing is fetched.
_SLIM = f"""
import * as vega from "https://cdn.jsdelivr.net/npm/vega@6.2.0/+esm";
import {{ expressionInterpreter }} from "https://cdn.jsdelivr.net/npm/vega-interpreter@2.0.0/+esm";
import {{ Handler }} from "https://cdn.jsdelivr.net/npm/vega-tooltip@1.0.0/+esm";
window.{DRAW} = (container, plot) => new vega.View(vega.parse(plot, null, {{ ast: true }}), {{
  container, renderer: "svg", hover: true, expr: expressionInterpreter, logLevel: vega.Error,
  tooltip: new Handler({{ theme: "custom" }}).call,
}}).runAsync();
"""
_WHOLE = f"""
window.{DRAW} = (container, plot) => vegaEmbed(container, plot, {{
  mode: "vega", ast: true, actions: false, renderer: "svg", tooltip: {{ theme: "custom" }}, logLevel: 1,
}});
"""


def pages(material: Material) -> Iterator[Asset]:
    """Yields the library, the same for every board."""
    del material
    yield Asset(PLOTS, plot_library)


@cache
def plot_library() -> bytes:
    """Returns Vega as a plain script: a page opened from a folder may not load a module.

    Plots are compiled before, so Vega-Lite and vega-embed, a third of the bytes, are left out. Where the installed
    vl-convert holds modules of other versions, they are in it.
    """
    import vl_convert

    versions = (vl_convert.get_vega_version(), vl_convert.get_vega_embed_version())
    snippet = _SLIM if versions == _SLIM_VERSIONS else _WHOLE
    bundle: str = vl_convert.javascript_bundle(snippet)
    return f"(()=>{{{bundle}\n}})();\n".encode()
