"""The plot library of the site, one file that pages load when a reader first uses a plot."""

from __future__ import annotations

from collections.abc import Iterator

from cloakbench_leaderboards.parts.page import Asset, Material

PLOTS, FRONT = "static/plots.js", "static/front.js"


def pages(material: Material) -> Iterator[Asset]:
    """Yields the library, the same for every board."""
    del material
    yield Asset(PLOTS, plot_library)


def plot_library() -> bytes:
    """Returns vega-embed as a plain script: a page opened from a folder may not load a module."""
    import vl_convert

    bundle: str = vl_convert.javascript_bundle()  # type: ignore[call-arg] # its stub requires arguments that the function does not
    return f"(()=>{{{bundle}\n}})();\n".encode()
