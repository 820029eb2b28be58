"""`cloakbench merge`: fills one store from others and from submitted archives, so that many machines make one board."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cloakbench.errors import UserError
from cloakbench.schemas.kinds import Status
from cloakbench.schemas.record import Record
from cloakbench.schemas.suite import MetricFacts, Suite, SuiteFacts
from cloakbench.store import key as keys
from cloakbench.store import origins, reading
from cloakbench.store.origins import Verb
from cloakbench.store.store import Store
from cloakbench.submissions.sandbox import folders
from cloakbench.suites import load as installed
from cloakbench.suites import read
from cloakbench.upkeep import archive
from cloakbench.upkeep.intake import Source, open_intake, require_no_links, require_regular
from cloakbench.upkeep.recompute import Recomputer
from cloakbench.upkeep.verify import verify
from cloakbench_leaderboards.history.history import HISTORY_FILE


@dataclass(frozen=True, slots=True)
class Merged:
    """How many records and files came in, how many records were here already, and how many files were left out."""

    records: int
    known: int
    files: int
    left_out: int = 0
    """Files that nothing can be compared with, or that lie beside a record that ran here."""


def merge(sources: Sequence[Path], store: Store) -> Merged:
    """Takes over records and files of `sources` (stores, reference folders, archives) that `store` lacks.

    Every source is verified first; all of them arrive, or none, also where the process is killed. Records of one cell
    from another environment class are reproductions and stand beside each other. Each record that came in has
    its origin: `sign` leaves it out, and a run treats its cell as one that has not run here. A suite that is known here
    has to be the same. Files of stages come in with the record that names them, and nothing is put beside a record that
    ran here. Histories stay where they are: the next refresh adds what the merged records say. An archive of
    `cloakbench submit` has to hold one submission, whole, of a suite as it is here, with the images that the suite
    ships.

    Raises:
        UserError: A source does not verify, holds links, or two records of one cell of one environment class have
            different results; both are named.
        InfrastructureError: The store cannot be written.
    """
    with contextlib.ExitStack() as stack:
        opened: list[Source] = []
        for path in sources:
            opened += _open(path, stack)
        verified = [_load_verified(source, store) for source in opened]
        with open_intake(store, Verb.MERGE) as intake:
            for source, loaded in zip(opened, verified, strict=True):
                intake.add_facts(_explain(loaded.facts, source.is_archive))
                intake.add_records(source, loaded)
            for source in _without_repeats(opened):
                intake.add_files(source)
        return Merged(intake.added, intake.known, intake.files, intake.left_out + _count_histories(opened))


def _count_histories(sources: Sequence[Source]) -> int:
    """Returns how many folders have a history: nothing computes its points again."""
    return sum((source.folder / HISTORY_FILE).is_file() for source in _without_repeats(sources))


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
    require_regular(folder)
    for suite in reading.suite_names(folder):
        yield Source(path, folder, suite, digest, origins.read(folder))


def _load_verified(source: Source, store: Store) -> reading.Loaded:
    """Returns the records of a source; raises UserError where they do not verify."""
    require_no_links(source)
    loaded = reading.load(source.folder, source.suite)
    own = _find_suite(loaded.facts, store)
    _require_same_suite(source, loaded.facts, own)
    is_known = own == loaded.facts.suite
    problems = verify(source.folder, source.suite, is_deep=source.is_archive).problems
    remedy = f"See them all: cloakbench verify {source.path} --suite {source.suite}"
    if is_known and not source.is_archive and not problems:
        problems = _find_in_records(loaded, Recomputer(Store(source.folder), loaded.facts.suite).find_other_recipes)
        remedy = "Run these cells again with this version, or merge the folder into a store of its own."
    if source.is_archive and not problems:
        archive.require_submission(loaded)
        present = [record for record in reading.records(store.root) if isinstance(record, Record)]
        problems = [
            *archive.images(loaded, source.folder),
            *_find_in_records(loaded, Recomputer(Store(source.folder), loaded.facts.suite).find_differences),
            *_find_other_images(loaded, present),
            *_find_superseding(loaded, store, present),
        ]
    if problems:
        raise UserError(
            f"expected records that verify, got {len(problems)} faults in {source.path}: {problems[0]}",
            "Ask its author to pack it again." if source.is_archive else remedy,
        )
    return loaded


def _find_in_records(loaded: reading.Loaded, find: Callable[[Record], list[str]]) -> list[str]:
    """Returns the sentences that `find` has for each record, each with the record that it is about."""
    problems = []
    for record in loaded.records:
        problems += [f"{record.key[:16]} ({record.artist}): {sentence}" for sentence in find(record)]
    return problems


def _find_superseding(loaded: reading.Loaded, store: Store, present: Sequence[Record]) -> list[str]:
    """Returns a sentence where an archive brings another version of a protection that ran in this store.

    A board shows the newest version of an entry: a record from outside would replace one that ran here.
    """
    brought = {}
    for record in loaded.records:
        if record.attack.package is None:
            brought[record.protection.name] = record.protection
    for record in present:
        if not store.is_own(record.key, record.environment.env_class):
            continue
        other = brought.get(record.protection.name)
        if other is not None and other.package_digest != record.protection.package_digest:
            return [
                f"expected version {record.protection.version} of {other.name}, which ran here, got version "
                f"{other.version} of another package"
            ]
    return []


def _find_other_images(loaded: reading.Loaded, present: Sequence[Record]) -> list[str]:
    """Returns which records of a package's attack start from other protected images than those of this store.

    An attack on images that are hardly protected would say nothing of the protection.
    """
    attacked = [record for record in loaded.records if record.attack.package and record.status is Status.OK]
    if not attacked:
        return []
    own: dict[tuple[str, str], list[str]] = {}
    for record in present:
        if record.attack.package is None and "protect" in record.components:
            own[keys.digest(record.components["protect"]), record.environment.env_class] = record.digests["protect"]
    problems = []
    for record in attacked:
        address = (keys.digest(record.components["protect"]), record.environment.env_class)
        if own.get(address) != record.digests["protect"]:
            got = "others" if address in own else "no record of them here"
            problems.append(
                f"{record.key[:16]} ({record.artist}): expected the images of {record.protection.name} that this "
                f"store has records of, got {got}"
            )
    return problems


def _require_same_suite(source: Source, facts: SuiteFacts, own: Suite | None) -> None:
    """Raises UserError where a source brings a suite of its own under a name that is known here.

    The facts of a suite are those of this store or package. Only a folder may bring a suite that is new here.
    """
    is_new = own is None and not source.is_archive and facts.suite.name not in read.names()
    is_older = own is None and not source.is_archive and not is_new and _is_older(facts.suite)
    if own != facts.suite and not is_new and not is_older:
        got = "another one" if own else "one that is not known here"
        raise UserError(
            f"expected the suite {facts.suite.name!r} version {facts.suite.version} as it is here, got {got} in "
            f"{source.path}",
            "Merge it where that suite has been run.",
        )


def _is_older(suite: Suite) -> bool:
    """Returns whether a suite of the package has a newer version here."""
    return suite.version < installed.load(suite.name).version


def _find_suite(facts: SuiteFacts, store: Store) -> Suite | None:
    """Returns the suite of this name and version as the store or the package has it."""
    path = store.facts_path(facts.suite.name, facts.suite.version)
    if path.is_file():
        return SuiteFacts.model_validate_json(path.read_bytes()).suite
    if facts.suite.name in read.names():
        suite = installed.load(facts.suite.name)
        return suite if suite.version == facts.suite.version else None
    return None


def _explain(facts: SuiteFacts, is_archive: bool) -> SuiteFacts:
    """Returns the facts of a suite as this version gives them, but for metrics of another version.

    A folder's own facts count where its suite has metrics or attacks that this version does not know.
    """
    try:
        own = installed.facts(facts.suite)
    except UserError:
        if is_archive:
            raise
        return facts
    stated = {metric.name: metric for metric in facts.metrics}
    metrics = [_choose(metric, stated.get(metric.name)) for metric in own.metrics]
    return own.model_copy(update={"metrics": metrics})


def _choose(own: MetricFacts, stated: MetricFacts | None) -> MetricFacts:
    """Returns what a folder states of a metric where that is another version of one direction; else our facts."""
    is_other = stated is not None and stated.version != own.version
    return stated if stated and is_other and stated.higher_is_better == own.higher_is_better else own
