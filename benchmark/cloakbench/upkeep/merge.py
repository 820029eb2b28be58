"""`cloakbench merge`: fills one store from others and from submitted archives, so that many machines make one board."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cloakbench.errors import UserError
from cloakbench.schemas.suite import Suite, SuiteFacts
from cloakbench.store import origins, reading
from cloakbench.store.origins import Verb
from cloakbench.store.store import Store
from cloakbench.submissions.sandbox import folders
from cloakbench.suites import load as installed
from cloakbench.suites import read
from cloakbench.upkeep import archive
from cloakbench.upkeep.intake import Intake, Source, open_intake, require_no_links
from cloakbench.upkeep.recompute import Recomputer
from cloakbench.upkeep.verify import verify
from cloakbench_leaderboards.history import history


@dataclass(frozen=True, slots=True)
class Merged:
    """How many records and files came in, and how many records were here already."""

    records: int
    known: int
    files: int


def merge(sources: Sequence[Path], store: Store) -> Merged:
    """Takes over records and files of `sources` (stores, reference folders, archives) that `store` lacks.

    Every source is verified first; all of them arrive, or none, also where the process is killed. Records of one cell
    from another environment class are reproductions and stand beside each other. Each record that came in has
    its origin: `sign` leaves it out, and a run treats its cell as one that has not run here. An archive of `cloakbench
    submit` has to hold one submission, whole, of a suite as it is here, with the images that the suite ships.

    Raises:
        UserError: A source does not verify, holds links, or two records of one cell of one environment class have
            different results; both are named.
        InfrastructureError: The store cannot be written.
    """
    with contextlib.ExitStack() as stack:
        opened: list[Source] = []
        for path in sources:
            opened += _open(path, stack)
        for source in opened:
            _require_verified(source, store)
        with open_intake(store, Verb.MERGE) as intake:
            for source in opened:
                _collect(source, intake)
            for source in _without_repeats(opened):
                intake.add_files(source)
            _collect_history(opened, intake)
        return Merged(intake.added, intake.known, intake.files)


def _without_repeats(sources: Sequence[Source]) -> list[Source]:
    """Returns one source for each folder, whose files are those of all its suites."""
    by_folder = {source.folder: source for source in sources}
    return list(by_folder.values())


def _open(path: Path, stack: contextlib.ExitStack) -> Iterator[Source]:
    """Yields a source for each suite of a folder or an archive."""
    folder, digest = path, ""
    if path.is_file():
        folder = stack.enter_context(folders.ScratchFolder()).path
        archive.unpack(path, folder)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    elif not path.is_dir():
        raise UserError(f"expected a store or a reference folder, got {path}", "Correct the path.")
    for suite in reading.suite_names(folder):
        yield Source(path, folder, suite, digest, origins.read(folder))


def _require_verified(source: Source, store: Store) -> None:
    require_no_links(source)
    problems = verify(source.folder, source.suite, is_deep=source.is_archive).problems
    if source.is_archive and not problems:
        loaded = reading.load(source.folder, source.suite)
        archive.require_submission(loaded)
        _require_same_suite(source, loaded.facts, store)
        problems = [*archive.images(loaded, source.folder), *_find_differences(loaded, source)]
    if problems:
        command = f"cloakbench verify {source.path} --suite {source.suite}"
        raise UserError(
            f"expected records that verify, got {len(problems)} faults in {source.path}: {problems[0]}",
            "Ask its author to pack it again." if source.is_archive else f"See them all: {command}",
        )


def _find_differences(loaded: reading.Loaded, source: Source) -> list[str]:
    """Returns which records state other originals, references or metrics than those here, so that none checks them."""
    recomputer = Recomputer(Store(source.folder), loaded.facts.suite)
    problems = []
    for record in loaded.records:
        sentences = recomputer.find_differences(record)
        problems += [f"{record.key[:16]} ({record.artist}): {sentence}" for sentence in sentences]
    return problems


def _require_same_suite(source: Source, facts: SuiteFacts, store: Store) -> None:
    """Raises UserError where an archive brings a suite of its own: what a board says of a suite is ours to say."""
    own = _find_suite(facts, store)
    if own != facts.suite:
        got = "another one" if own else "one that is not known here"
        raise UserError(
            f"expected the suite {facts.suite.name!r} version {facts.suite.version} as it is here, got {got} in "
            f"{source.path}",
            "Merge it where that suite has been run.",
        )


def _find_suite(facts: SuiteFacts, store: Store) -> Suite | None:
    path = store.facts_path(facts.suite.name, facts.suite.version)
    if path.is_file():
        return SuiteFacts.model_validate_json(path.read_bytes()).suite
    if facts.suite.name in read.names():
        suite = installed.load(facts.suite.name)
        return suite if suite.version == facts.suite.version else None
    return None


def _collect(source: Source, intake: Intake) -> None:
    loaded = reading.load(source.folder, source.suite)
    intake.add_facts(installed.facts(loaded.facts.suite) if source.is_archive else loaded.facts)
    intake.add_records(source, loaded)


def _collect_history(sources: Sequence[Source], intake: Intake) -> None:
    """Unites the histories of folders; an archive has none, the next refresh adds what its records say."""
    present = history.read(intake.store.root)
    points = list(present)
    for source in sources:
        if not source.is_archive:
            points += history.read(source.folder)
    united = history.united(points)
    if len(united) > len(present):
        lines = "".join(point.model_dump_json() + "\n" for point in united)
        intake.staging.write(PurePosixPath(history.HISTORY_FILE), lines.encode())
