"""`cloakbench merge`: fills one store from several, so that several machines make one board."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark import signing
from benchmark.adopting import adopt
from benchmark.cells.paths import StorePaths
from benchmark.cells.store import Store
from benchmark.errors import UserError
from benchmark.files import write_whole
from benchmark.verifying import verify

KEPT = ("images", "gallery", "adapters", "features", "calibrations", "canaries")
"""What lies beside records; each file's address holds the key of the stage that made it."""


@dataclass(frozen=True, slots=True)
class Merged:
    """How many records and files came in, and how many records were here already."""

    records: int
    known: int
    files: int


def merge(sources: Sequence[Path], store: Store) -> Merged:
    """Takes over records and files of `sources` (stores or reference folders) that `store` lacks.

    Every source is verified first, and nothing is written where one fails. Records of one cell from another environment
    class are reproductions and stand beside each other. Raises UserError for a source that does not verify, and where
    two hold one cell of one class with different results; both are named.
    """
    named = [(path, suite) for path in sources for suite in suites(path)]
    for path, suite in named:
        problems = verify(path, suite).problems
        if problems:
            raise UserError(
                f"expected records that verify, got {len(problems)} faults in {path}: {problems[0]}",
                f"See them all: cloakbench verify {path} --suite {suite}",
            )
    records = known = 0
    for path, suite in named:
        done = adopt(path, suite, store)
        records, known = records + done.added, known + done.known
    return Merged(records, known, sum(_files(path, store.root) for path in sources))


def suites(path: Path) -> list[str]:
    """Returns the names of the suites that a folder holds; raises UserError where it holds none."""
    compact = path / "facts.json"
    files = [compact] if compact.is_file() else StorePaths(path).facts()
    if not files:
        raise UserError(
            f"expected a store or a reference folder, got {path}", "Run a suite first, or correct the path."
        )
    return sorted({json.loads(file.read_bytes())["suite"]["name"] for file in files})


def _files(source: Path, target: Path) -> int:
    """Copies what lies beside the records; manifests last, because they say that the images are whole."""
    found = [file for kind in (*KEPT, signing.FOLDER) for file in sorted((source / kind).rglob("*")) if file.is_file()]
    found.sort(key=lambda file: file.name == "manifest.json")
    copied = 0
    for file in found:
        place = target / file.relative_to(source)
        if not place.exists():
            write_whole(place, file.read_bytes())
            copied += 1
    return copied
