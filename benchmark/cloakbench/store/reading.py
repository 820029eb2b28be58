"""Where a board's records come from: a store folder, or the compact reference folder made from one."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from pydantic import ValidationError

from cloakbench.errors import InfrastructureError, UserError
from cloakbench.files import read_lines, read_regular, write_whole
from cloakbench.metrics import catalogue
from cloakbench.schemas.record import Record
from cloakbench.schemas.suite import SuiteFacts
from cloakbench.store import origins, signing, staging
from cloakbench.store.paths import CANARIES_FILE, FACTS_FILE, ORIGINS_FILE, RECORDS_FILE, StorePaths
from cloakbench.system import locations

CIRCUMSTANCES = {"cost", "created", "environment", "isolation", "suite_version", "traceback"}
"""What may differ between two runs of one cell in one environment class."""
RANGE_TOLERANCE = 1e-4
"""How far rounding may take a value out of its metric's range, per unit of the limit, and at least so much."""
MAX_LINE = 8 << 20
"""The largest number of bytes of a record."""
ANY_PROTECTION = "--protection NAME"
"""Option of `cloakbench run` in an advice; without it, the command would run every installed protection."""
_log = logging.getLogger(__name__)
_BOM, _LFS = b"\xef\xbb\xbf", b"version https://git-lfs"


class DamagedLine(NamedTuple):
    """A file, or a line of one, that is no record, and why."""

    path: str
    """Relative to the folder that was read."""
    reason: str


class FiledRecord(NamedTuple):
    """A record, and its file or line relative to the folder that was read."""

    path: str
    record: Record


class Loaded(NamedTuple):
    """All that a folder knows about one suite version."""

    facts: SuiteFacts
    records: list[Record]
    damaged: list[DamagedLine]
    signed: Mapping[str, str] = MappingProxyType({})
    """Who of the allowed signers vouches for which record, by `cloakbench.store.signing.digest`."""
    conflicts: tuple[str, ...] = ()
    """Cells of one environment class that have two records with different results; both are named."""
    paths: tuple[str, ...] = ()
    """The file or line of each of `records`, relative to the folder that was read."""


def load(path: Path, suite: str | None = None, wanted: str = ANY_PROTECTION) -> Loaded:
    """Returns facts and records of `suite` (its highest version) from a store or a reference folder.

    Damaged records are listed, and a warning names the first. `wanted` are the options of `cloakbench run` that an
    error advises. Raises UserError where there is nothing to show, or no way to tell which of several suites is meant.
    """
    facts = _choose(_all_facts(path, wanted), suite, path)
    name_and_version = (facts.suite.name, facts.suite.version)
    filed, damaged = [], []
    for origin, text in _documents(path, RECORDS_FILE, StorePaths(path).records):
        parsed = _parse(origin, text)
        if isinstance(parsed, DamagedLine):
            damaged.append(parsed)
        elif (parsed.suite, parsed.suite_version) == name_and_version:
            filed.append(FiledRecord(str(origin), parsed))
    if damaged and filed:
        _log.warning("%s: left out %s", path, _describe_damage(damaged))
    elif damaged:
        raise UserError(f"expected records in {path}, got {_describe_damage(damaged)}", "Fetch or correct them.")
    elif not filed:
        raise UserError(
            f"{path} holds no record of suite {facts.suite.name!r} version {facts.suite.version}",
            f"Run it first: cloakbench run {facts.suite.name} {wanted}",
        )
    filed.sort(key=lambda entry: _order(entry.record))
    signed = signing.signed(path, locations.signers_file())
    records = [entry.record for entry in filed]
    paths = tuple(entry.path for entry in filed)
    return Loaded(facts, records, damaged, signed, tuple(find_conflicts(filed)), paths)


def _describe_damage(damaged: Sequence[DamagedLine]) -> str:
    first = damaged[0]
    return f"{len(damaged)} damaged record{'s' * (len(damaged) != 1)}, the first is {first.path}: {first.reason}"


def find_conflicts(filed: Iterable[FiledRecord]) -> list[str]:
    """Returns a sentence for each cell of one environment class that has two records with different results."""
    first: dict[tuple[str, str], FiledRecord] = {}
    conflicts = []
    for entry in filed:
        other = first.setdefault((entry.record.key, entry.record.environment.env_class), entry)
        if other is not entry and get_result(other.record) != get_result(entry.record):
            conflicts.append(describe_conflict(entry.record, other.path, entry.path))
    return conflicts


def describe_conflict(record: Record, *places: str) -> str:
    """Returns the sentence that names two records of one cell with different results."""
    return (
        f"expected one result for the cell {record.key[:16]} ({record.protection.name}, {record.artist}, "
        f"{record.attack.name}, seed {record.seed}), got two: {' and '.join(places)}"
    )


def get_result(record: Record) -> dict[str, Any]:
    """Returns the part of a record that two runs of one cell in one environment class have to agree in."""
    return record.model_dump(exclude=CIRCUMSTANCES)


def records(path: Path) -> Iterator[Record | DamagedLine]:
    """Yields every record of a store or reference folder, of all suites and versions, and the damaged ones."""
    for origin, text in _documents(path, RECORDS_FILE, StorePaths(path).records):
        yield _parse(origin, text)


def canaries(path: Path) -> list[Record]:
    """Returns the canaries of a store or reference folder: control cells that ran again, by when they did.

    Damaged ones are left out: a canary is evidence, and its cell can run once more.
    """
    again = [entry.record for entry in filed_canaries(path) if isinstance(entry, FiledRecord)]
    return sorted(again, key=lambda record: (record.created, record.key))


def filed_canaries(path: Path) -> Iterator[FiledRecord | DamagedLine]:
    """Yields the canaries of a store or reference folder with their file or line, and the damaged ones."""
    for origin, text in _documents(path, CANARIES_FILE, StorePaths(path).canaries):
        parsed = _parse(origin, text, is_canary=True)
        yield parsed if isinstance(parsed, DamagedLine) else FiledRecord(str(origin), parsed)


def is_reference(path: Path) -> bool:
    """Returns whether a folder is a reference folder; otherwise it is a store.

    What a killed process had begun to put into a store is put in place first. Raises UserError for a folder that is
    both.
    """
    staging.finish(path)
    if not StorePaths(path).is_reference:
        return False
    if StorePaths(path).is_store:
        raise UserError(
            f"expected a store or a reference folder, got both in {path}",
            f"Move {FACTS_FILE}, {RECORDS_FILE} and {CANARIES_FILE} into a folder of their own.",
        )
    return True


def export_reference(store: Path, suite: str | None, folder: Path) -> Loaded:
    """Writes the compact form of one suite's records to `folder` and returns what it wrote.

    Tracebacks are left out: they hold paths of the machine that ran, and the reason stays. Origins of merged records
    come along. Raises UserError where `folder` is a store, and InfrastructureError where it cannot be written.
    """
    loaded = load(store, suite)
    if StorePaths(folder).is_store:
        raise UserError(f"expected a folder for reference records, got the store {folder}", "Give another --out.")
    try:
        return _export(loaded, store, folder)
    except OSError as error:
        raise InfrastructureError(
            f"could not write the reference records to {folder}: {error.strerror}", "Free space or correct --out."
        ) from error


def _export(loaded: Loaded, store: Path, folder: Path) -> Loaded:
    records = [record.model_copy(update={"traceback": ""}) for record in loaded.records]
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / RECORDS_FILE, _to_lines(records))
    write_whole(folder / FACTS_FILE, (loaded.facts.model_dump_json(indent=2) + "\n").encode())
    signing.copy(store, folder)
    merged = origins.to_lines(records, origins.read(store))
    if merged or (folder / ORIGINS_FILE).exists():
        write_whole(folder / ORIGINS_FILE, merged)
    again = [record for record in canaries(store) if record.suite == loaded.facts.suite.name]
    if again:
        write_whole(folder / CANARIES_FILE, _to_lines(again))
    return loaded._replace(records=records)


def _to_lines(records: Iterable[Record]) -> bytes:
    return "".join(record.model_dump_json() + "\n" for record in records).encode()


def _all_facts(path: Path, wanted: str = ANY_PROTECTION) -> list[SuiteFacts]:
    files = [path / FACTS_FILE] if is_reference(path) else StorePaths(path).facts()
    if not files:
        raise UserError(
            f"expected a store or a folder of reference records, got {path}, which has neither facts/*.json nor "
            f"{FACTS_FILE}",
            f"Name another folder, or run a suite first: cloakbench run mini-quick {wanted} --store {path}",
        )
    return list(map(_read_facts, files))


def suite_names(path: Path) -> list[str]:
    """Returns the names of the suites that a store or reference folder holds; raises UserError where it holds none."""
    return sorted({facts.suite.name for facts in _all_facts(path)})


def _read_facts(file: Path) -> SuiteFacts:
    try:
        data = read_regular(file)
        return SuiteFacts.model_validate_json(data.removeprefix(_BOM))
    except (OSError, ValidationError) as error:
        is_pointer = not isinstance(error, OSError) and data.startswith(_LFS)
        hint = "fetch it: git lfs pull" if is_pointer else "run the suite again to rewrite it"
        raise UserError(f"{file} holds no suite facts: {_first_line(error)}", hint) from None


def _choose(facts: list[SuiteFacts], name: str | None, path: Path) -> SuiteFacts:
    names = sorted({entry.suite.name for entry in facts})
    if name is None and len(names) > 1:
        raise UserError(f"{path} holds several suites: {', '.join(names)}", "name one: --suite NAME")
    name = names[0] if name is None else name
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        meant = f"did you mean {near[0]!r}?" if near else f"it holds: {', '.join(names)}"
        raise UserError(f"{path} holds no suite {name!r}", meant)
    return max((entry for entry in facts if entry.suite.name == name), key=lambda entry: entry.suite.version)


def _documents(path: Path, compact: str, files: Callable[[], Iterable[Path]]) -> Iterator[tuple[Path, bytes | OSError]]:
    """Yields the lines of the file `compact` of a reference folder, or what the files of a store hold."""
    if is_reference(path):
        try:
            lines = read_lines(path / compact)
        except OSError as error:
            yield Path(compact), error
            return
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield Path(f"{compact}:{number}"), line
        return
    for file in files():
        try:
            yield file.relative_to(path), read_regular(file)
        except OSError as error:
            yield file.relative_to(path), error


def _parse(origin: Path, text: bytes | OSError, is_canary: bool = False) -> Record | DamagedLine:
    """Returns the record in a file or line, which is named where it holds none; canaries lie a folder deeper."""
    if isinstance(text, OSError):
        return DamagedLine(str(origin), f"cannot be read: {text.strerror}")
    if len(text) > MAX_LINE:
        return DamagedLine(str(origin), f"expected at most {MAX_LINE} bytes, got {len(text)}")
    if text.startswith(_LFS):
        return DamagedLine(str(origin), "is a pointer of Git LFS; fetch the records: git lfs pull")
    try:
        record = Record.model_validate_json(text.removeprefix(_BOM))
    except ValidationError as error:
        return DamagedLine(str(origin), _first_line(error))
    is_filed = origin.suffix == ".json"
    address = origin.parent if is_canary else origin
    if is_filed and (address.parent.name, address.stem) != (record.key, record.environment.env_class):
        return DamagedLine(str(origin), "its key or environment class differs from its address")
    problem = _find_out_of_range(record)
    return DamagedLine(str(origin), problem) if problem else record


def _find_out_of_range(record: Record) -> str:
    """Returns which value lies out of its metric's range; empty where none does."""
    rows = {**record.quality, **record.generations, **{name: [value] for name, value in record.sets.items()}}
    for name, values in rows.items():
        if name not in catalogue.BY_NAME or not values:
            continue
        facts = catalogue.BY_NAME[name].facts
        low, high = min(values), max(values)
        if facts.low is not None and low < facts.low - RANGE_TOLERANCE * max(1, abs(facts.low)):
            return f"expected values of {name!r} of at least {facts.low:g}, got {low:g}"
        if facts.high is not None and high > facts.high + RANGE_TOLERANCE * max(1, abs(facts.high)):
            return f"expected values of {name!r} of at most {facts.high:g}, got {high:g}"
    return ""


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part)[:100] for part in first["loc"])
        return f"{field}: {first['msg']}" if field else first["msg"]
    return str(error).splitlines()[0]


def _order(record: Record) -> tuple[str, float, str, str, int, str]:
    return (record.protection.name, record.strength, record.artist, record.attack.name, record.seed, record.key)
