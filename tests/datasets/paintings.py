"""Folders of paintings for the tests of data sets, and suites that choose from them."""

from __future__ import annotations

from pathlib import Path

import tiny

from cloakbench.datasets import freeze
from cloakbench.images import encode

RULE = """
name = "few"
version = 3
rule = "The first two are protected, the next three are references."
protect = 2
references = 3
least_side = 40
most_ratio = 2.0

[artists]
claude-monet = "tests"
paul-cezanne = "tests"
"""
ARTISTS = ["claude-monet", "paul-cezanne"]


def suite(folder: Path, **changes):
    rule = folder / "few.toml"
    if not rule.exists():
        rule.write_text(RULE)
    plan = {"dataset": "manifest", "selection": str(rule), "artists": ARTISTS, "images_per_artist": 2}
    return tiny.suite(**{**plan, **changes})


def paintings(start: int = 0, count: int = 7) -> list[bytes]:
    return [encode(tiny.picture(start + n, 50 + n, 44)) for n in range(count)]


def by_artist(folder: Path) -> Path:
    """One folder an artist, with spaces and accents as people have them."""
    for name, start in (("Claude Monet", 0), ("Paul Cézanne", 100)):
        (folder / name).mkdir(parents=True)
        for n, data in enumerate(paintings(start)):
            (folder / name / f"painting {n}.png").write_bytes(data)
    return folder


def frozen(tmp_path: Path, **changes):
    chosen = suite(tmp_path, **changes)
    return chosen, freeze.freeze(chosen, str(by_artist(tmp_path / "wikiart")), tmp_path / "out")
