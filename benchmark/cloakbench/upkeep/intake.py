"""Copies records and files of stores, reference folders and archives into a store: first checked, then all moved."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from filelock import FileLock, Timeout

from cloakbench.errors import UserError
from cloakbench.files import find_links, find_special, read_unlinked, to_json
from cloakbench.schemas.record import Record
from cloakbench.schemas.suite import SuiteFacts
from cloakbench.store import key as keys
from cloakbench.store import paths, reading
from cloakbench.store.origins import Origin, Origins, Verb
from cloakbench.store.paths import StorePaths
from cloakbench.store.staging import Staging
from cloakbench.store.store import CorruptFile, Store
from cloakbench.upkeep import searches

LOCK = "merge.lock"
LOCK_WAIT_S = 60
"""How long one merge waits for another one into the same store."""
_SHARED_KINDS = ("images", "calibrations", "features")
"""What a run or `rescore` would take from the store, so that its origin is noted."""


@dataclass(frozen=True, slots=True)
class Source:
    """A store, reference folder or archive."""

    path: Path
    """As the user named it."""
    folder: Path
    """Where its files are: the path itself, or where the archive was unpacked."""
    suite: str | None
    """None: the only one it holds."""
    sha256: str = ""
    """Of the archive."""
    origins: Origins = field(default_factory=dict)
    """Of what it had merged itself."""

    @property
    def is_archive(self) -> bool:
        """Whether it is one file, made by `cloakbench submit`."""
        return self.path != self.folder


class Intake:
    """Collects what a store lacks of sources; nothing of it is in the store before `commit`."""

    def __init__(self, store: Store, verb: Verb) -> None:
        self.store = store
        self.verb = verb
        self.staging = Staging(store.root)
        self.added = 0
        self.known = 0
        self.files = 0
        self.left_out = 0
        self.searches = 0
        self._named: set[str] = set()
        self._own: set[str] = set()
        self._collected: dict[tuple[str, str], reading.FiledRecord] = {}
        self._created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")

    def add_records(self, source: Source, loaded: reading.Loaded) -> None:
        """Collects the records that the store lacks.

        Raises:
            UserError: Two of all sources, or one of them and the store, differ in the result of a cell. Both are named.
        """
        for record, path in zip(loaded.records, loaded.paths, strict=True):
            entry = reading.FiledRecord(f"{source.path}/{path}", record)
            stages = _stage_keys(record)
            self._named |= stages
            cell = _address(record)
            other = self._collected.get(cell) or self._read_own(*cell)
            if other is None:
                self.added += 1
                self._write(self.store.record_path(*cell), to_json(record.model_dump(mode="json")))
                self._note_origin(source, *cell)
            else:
                _require_same(other, entry)
                self.known += 1
                self._note_adoption(source, *cell)
                if self.store.is_own(*cell):
                    self._own |= stages
            self._collected[cell] = entry

    def _read_own(self, key: str, env_class: str) -> reading.FiledRecord | None:
        try:
            record = self.store.read_record(key, env_class)
        except CorruptFile:
            return None
        return reading.FiledRecord(str(self.store.record_path(key, env_class)), record) if record else None

    def _note_adoption(self, source: Source, key: str, env_class: str) -> None:
        """Notes that a run may now continue from a record that was merged before."""
        is_merged = (key, env_class) in source.origins
        if self.verb is Verb.ADOPT and not is_merged and not self.store.is_usable(key, env_class):
            self._note_origin(source, key, env_class)

    def _note_origin(self, source: Source, key: str, env_class: str) -> None:
        """Writes the origin of a record or output; one that its source had merged keeps its first origin."""
        origin = source.origins.get((key, env_class))
        if origin is None:
            origin = Origin(verb=self.verb, source=source.path.name, sha256=source.sha256, created=self._created)
        self._write(self.store.origin_path(key, env_class), to_json(origin.model_dump(mode="json")))

    def add_facts(self, facts: SuiteFacts) -> None:
        """Collects the facts of a suite version of which the store has none."""
        path = self.store.facts_path(facts.suite.name, facts.suite.version)
        if not path.exists():
            self._write(path, to_json(facts.model_dump(mode="json")))

    def add_searches(self, source: Source, loaded: reading.Loaded) -> None:
        """Collects the searches for strengths that records tell of and the store lacks.

        Records that the source had merged are passed over: a run does not go on from them.
        """
        ran = [record for record in loaded.records if _address(record) not in source.origins]
        for address, search in searches.restore(ran).items():
            path = self.store.calibration_path(*address)
            if not path.exists():
                self._write(path, to_json(search.model_dump(mode="json")))
                self._note_origin(source, *address)
                self.searches += 1

    def add_files(self, source: Source) -> None:
        """Collects images, features and signatures that the store lacks; whole stages of images, or none of them.

        Files of stages that no collected record names are left out. So is what nothing compares with its record, such
        as pictures for pages, where that record ran here.
        """
        for path in _files(StorePaths(source.folder)):
            name = path.relative_to(source.folder).as_posix()
            if name in self.staging.names or self._has(name):
                continue
            file = paths.parse(name)
            if file is not None and not self._is_wanted(file):
                self.left_out += 1
                continue
            self._write(self.store.root / name, _read_copied(path))
            self.files += 1
            if file is not None and file.kind in _SHARED_KINDS:
                self._note_origin(source, file.key, file.env_class)

    def _is_wanted(self, file: paths.StageFile) -> bool:
        is_compared = file.kind in {"images", "features"}
        return file.key in self._named and (is_compared or file.key not in self._own)

    def _has(self, name: str) -> bool:
        file = paths.parse(name)
        if file is not None and file.kind == "images":
            return self.store.manifest_path(file.key, file.env_class).exists()
        return (self.store.root / name).exists()

    def _write(self, path: Path, data: bytes) -> None:
        self.staging.write(PurePosixPath(path.relative_to(self.store.root).as_posix()), data)


def _read_copied(path: Path) -> bytes:
    """Returns a file that is copied as it is; raises UserError for a link, whose bytes could be any file's here."""
    try:
        return read_unlinked(path)
    except OSError as error:
        raise UserError(
            f"expected files of their own in a folder to merge, got {path}, which {error.strerror}",
            "Merge a copy of the folder: cp -r makes one without hard links.",
        ) from error


def _address(record: Record) -> tuple[str, str]:
    return record.key, record.environment.env_class


def _stage_keys(record: Record) -> set[str]:
    """Returns the keys under which files of a record may lie: its own, and those of its stages."""
    shared = keys.clean_edit(record.recipes) if record.recipes else None
    names = {record.key, *keys.by_stage(record.components).values()}
    return names | {shared} if shared else names


def _files(folder: StorePaths) -> Iterator[Path]:
    yield from folder.stage_files()
    for path in sorted(folder.signatures.glob("*")):
        if paths.is_signature(path.relative_to(folder.root).as_posix()):
            yield path


def _require_same(first: reading.FiledRecord, other: reading.FiledRecord) -> None:
    if reading.get_result(first.record) != reading.get_result(other.record):
        raise UserError(
            reading.describe_conflict(other.record, first.path, other.path),
            "One of them was changed or is not deterministic; take one of the folders into a store of its own.",
        )


def require_no_links(source: Source) -> None:
    """Raises UserError where a folder holds symbolic links, which could lead to any file of this machine, or pipes."""
    require_regular(source.folder)
    links = find_links(source.folder)
    if links:
        raise UserError(
            f"expected files and folders only in {source.path}, got the symbolic link {links[0]}",
            "Copy what it points to in its place, or remove it.",
        )


def require_regular(folder: Path) -> None:
    """Raises UserError where a folder holds pipes, sockets or devices, or more folders in each other than a path names.

    Reading these might never end.
    """
    try:
        special = find_special(folder) if folder.is_dir() else []
    except OSError as error:
        raise UserError(f"expected folders that can be read in {folder}, got: {error.strerror}", "Remove it.") from None
    if special:
        raise UserError(f"expected files and folders only in {folder}, got {special[0]}", "Remove it.")


@contextmanager
def open_intake(store: Store, verb: Verb) -> Iterator[Intake]:
    """Yields an intake into a store; all of it is moved in at the end of the block, or nothing after an error.

    Raises UserError where another process puts records into the same store for longer than `LOCK_WAIT_S`.
    """
    store.prepare()
    lock = FileLock(store.root / LOCK, timeout=LOCK_WAIT_S)
    try:
        lock.acquire()
    except Timeout:
        raise UserError(
            f"expected to be the only process that merges into {store.root}, got another one",
            "Wait until it has ended, and repeat.",
        ) from None
    try:
        intake = Intake(store, verb)
        try:
            yield intake
            intake.staging.commit()
        finally:
            intake.staging.discard()
    finally:
        lock.release()
