"""`cloakbench merge`: fills one store from others and from submitted archives, so that many machines make one board."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cloakbench.errors import UserError
from cloakbench.files import write_whole
from cloakbench.schemas.suite import Suite, SuiteFacts
from cloakbench.store import reading, signing
from cloakbench.store.paths import StorePaths
from cloakbench.store.store import Store
from cloakbench.submissions.sandbox import folders
from cloakbench.suites import load as installed
from cloakbench.upkeep import archive
from cloakbench.upkeep.adopt import adopt
from cloakbench.upkeep.verify import verify
from cloakbench_leaderboards.history import history

KEPT = ("images", "gallery", "adapters", "features", "calibrations", "canaries")
"""What lies beside records; each file's address holds the key of the stage that made it."""


@dataclass(frozen=True, slots=True)
class Merged:
    """How many records and files came in, and how many records were here already."""

    records: int
    known: int
    files: int


def merge(sources: Sequence[Path], store: Store) -> Merged:
    """Takes over records and files of `sources` (stores, reference folders, archives) that `store` lacks.

    Every source is verified first, and nothing is written where one fails. Records of one cell from another environment
    class are reproductions and stand beside each other. Raises UserError for a source that does not verify, and where
    two hold one cell of one class with different results; both are named. An archive of `cloakbench submit` has to hold
    one submission, whole, of a suite as it is here.
    """
    with contextlib.ExitStack() as stack:
        named = []
        for path in sources:
            folder = path
            if path.is_file():
                folder = stack.enter_context(folders.ScratchFolder()).path
                archive.unpack(path, folder)
            named += [_Source(path, folder, suite) for suite in suites(folder)]
        for each in named:
            _require_verified(each, store)
        return _take(named, store)


@dataclass(frozen=True, slots=True)
class _Source:
    path: Path
    """As the user named it."""
    folder: Path
    """Where its files are."""
    suite: str

    @property
    def is_archive(self) -> bool:
        return self.path != self.folder


def _require_verified(each: _Source, store: Store) -> None:
    problems = verify(each.folder, each.suite).problems
    if each.is_archive and not problems:
        loaded = reading.load(each.folder, each.suite)
        archive.require_submission(loaded)
        _require_same_suite(each, loaded.facts, store)
        problems = archive.images(loaded, each.folder)
    if problems:
        command = f"cloakbench verify {each.path} --suite {each.suite}"
        raise UserError(
            f"expected records that verify, got {len(problems)} faults in {each.path}: {problems[0]}",
            "Ask its author to pack it again." if each.is_archive else f"See them all: {command}",
        )


def _require_same_suite(each: _Source, facts: SuiteFacts, store: Store) -> None:
    """Raises UserError where an archive brings a suite of its own: what a board says of a suite is ours to say."""
    ours = _known_suite(facts, store)
    if ours != facts.suite:
        got = "another one" if ours else "one that is not known here"
        raise UserError(
            f"expected the suite {facts.suite.name!r} version {facts.suite.version} as it is here, got {got} in "
            f"{each.path}",
            "Merge it where that suite has been run.",
        )


def _known_suite(facts: SuiteFacts, store: Store) -> Suite | None:
    place = store.facts_path(facts.suite.name, facts.suite.version)
    if place.is_file():
        return SuiteFacts.model_validate_json(place.read_bytes()).suite
    if facts.suite.name in installed.names():
        found = installed.load(facts.suite.name)
        return found if found.version == facts.suite.version else None
    return None


def _take(named: Sequence[_Source], store: Store) -> Merged:
    # An archive's history is a stranger's word: its records tell theirs at the next refresh.
    told = [point for each in named if not each.is_archive for point in history.read(each.folder)]
    records = known = 0
    for each in named:
        done = adopt(each.folder, each.suite, store, with_facts=not each.is_archive)
        records, known = records + done.added, known + done.known
    history.add(told, store.root)
    return Merged(records, known, sum(_files(folder, store.root) for folder in dict.fromkeys(e.folder for e in named)))


def suites(path: Path) -> list[str]:
    """Returns the names of the suites that a folder holds; raises UserError where it holds none."""
    compact = path / "facts.json"
    files = [compact] if compact.is_file() else StorePaths(path).facts()
    if not files:
        raise UserError(
            f"expected a store or a reference folder, got {path}", "Run a suite first, or correct the path."
        )
    try:
        return sorted({str(json.loads(file.read_bytes())["suite"]["name"]) for file in files})
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"expected facts of a suite in {path}, got {type(error).__name__}", "Run it again.") from error


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
