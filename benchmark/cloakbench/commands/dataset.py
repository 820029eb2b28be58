"""Verbs for datasets: dataset freeze."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cloakbench.commands.options import Flag
from cloakbench.commands.terminal import print_values


def freeze(suite: str, *, from_: Annotated[str, Parameter(name="--from")], out: Path, json: Flag = False) -> int:
    """Chooses a suite's images from a collection and copies them into a folder with their digests.

    Args:
        suite: Name of a suite whose dataset is a manifest, such as `painting`, or path to its TOML file.
        from_: Folder of WikiArt (`claude-monet/*.jpg` or `Impressionism/claude-monet_*.jpg`), or `huggan/wikiart`.
        out: New folder for the images and `manifest.json`, to be given to `run --images`.
        json: Print the result as JSON.
    """
    from cloakbench.suites.load import load

    chosen = load(suite)
    from cloakbench.datasets.freeze import freeze as choose

    done = choose(chosen, from_, out)
    return print_values({"images": len(done.items), "folder": str(out)}, json)
