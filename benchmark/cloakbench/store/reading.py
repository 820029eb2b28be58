"""Where a board's records come from: a store folder, or the compact reference folder made from one."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from pydantic import ValidationError

from cloakbench.errors import UserError
from cloakbench.files import write_whole
from cloakbench.schemas.record import Record
from cloakbench.schemas.suite import SuiteFacts
from cloakbench.store import signing
from cloakbench.store.paths import StorePaths
from cloakbench.system import locations

FACTS_FILE = "facts.json"
RECORDS_FILE = "records.jsonl"
CANARIES_FILE = "canaries.jsonl"


class DamagedLine(NamedTuple):
    """A file, or a line of one, that is no record, and why."""

    path: str
    """Relative to the folder that was read."""
    reason: str


class Loaded(NamedTuple):
    """All that a folder knows about one suite version."""

    facts: SuiteFacts
    records: list[Record]
    damaged: list[DamagedLine]
    signed: Mapping[str, str] = MappingProxyType({})
    """Who of the allowed signers vouches for which record, by `cloakbench.store.signing.digest`."""


def load(path: Path, suite: str | None = None) -> Loaded:
    """Returns facts and records of `suite` (its highest version) from a store or a reference folder.

    Damaged records are listed, not fatal. Raises UserError where there is nothing to show, or no way to tell which
    of several suites is meant.
    """
    facts = _choose(_all_facts(path), suite, path)
    wanted = (facts.suite.name, facts.suite.version)
    records, damaged = [], []
    for origin, text in _documents(path):
        parsed = _parse(origin, text)
        if isinstance(parsed, DamagedLine):
            damaged.append(parsed)
        elif (parsed.suite, parsed.suite_version) == wanted:
            records.append(parsed)
    if not records:
        raise UserError(
            f"{path} holds no record of suite {facts.suite.name!r} version {facts.suite.version}"
            + (f" ({len(damaged)} damaged)" if damaged else ""),
            f"run it first: cloakbench run --suite {facts.suite.name}",
        )
    signed = signing.signed(path, locations.signers_file())
    return Loaded(facts, sorted(records, key=_order), damaged, signed)


def records(path: Path) -> Iterator[Record | DamagedLine]:
    """Yields every record of a store or reference folder, of all suites and versions, and the damaged ones."""
    for origin, text in _documents(path):
        yield _parse(origin, text)


def canaries(path: Path) -> list[Record]:
    """Returns the canaries of a store or reference folder: control cells that ran again, by when they did.

    Damaged ones are left out: a canary is evidence, and its cell can run once more.
    """
    compact = path / CANARIES_FILE
    if (path / FACTS_FILE).is_file():
        texts = compact.read_bytes().splitlines() if compact.is_file() else []
    else:
        texts = [file.read_bytes() for file in StorePaths(path).canaries()]
    parsed = [_parse(Path(CANARIES_FILE), text) for text in texts if text.strip()]
    return sorted((each for each in parsed if isinstance(each, Record)), key=lambda each: (each.created, each.key))


def export_reference(store: Path, suite: str | None, folder: Path) -> Loaded:
    """Writes the compact form of one suite's records to `folder` and returns what it wrote.

    Tracebacks are left out: they hold paths of the machine that ran, and the reason stays.
    """
    loaded = load(store, suite)
    records = [record.model_copy(update={"traceback": ""}) for record in loaded.records]
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / RECORDS_FILE, "".join(record.model_dump_json() + "\n" for record in records).encode())
    write_whole(folder / FACTS_FILE, (loaded.facts.model_dump_json(indent=2) + "\n").encode())
    for file in sorted((store / signing.FOLDER).glob("*.manifest*")):
        write_whole(folder / signing.FOLDER / file.name, file.read_bytes())
    again = [record for record in canaries(store) if record.suite == loaded.facts.suite.name]
    if again:
        write_whole(folder / CANARIES_FILE, "".join(record.model_dump_json() + "\n" for record in again).encode())
    return loaded._replace(records=records)


def _all_facts(path: Path) -> list[SuiteFacts]:
    compact = path / FACTS_FILE
    files = [compact] if compact.is_file() else StorePaths(path).facts()
    if not files:
        raise UserError(
            f"{path} is neither a store nor a reference folder: expected facts/*.json or {FACTS_FILE}, got neither",
            "run a suite first: cloakbench run --suite mini-quick",
        )
    return [_read_facts(file) for file in files]


def _read_facts(file: Path) -> SuiteFacts:
    try:
        return SuiteFacts.model_validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        raise UserError(
            f"{file} holds no suite facts: {_first_line(error)}", "run the suite again to rewrite it"
        ) from None


def _choose(facts: list[SuiteFacts], name: str | None, path: Path) -> SuiteFacts:
    names = sorted({each.suite.name for each in facts})
    if name is None and len(names) > 1:
        raise UserError(f"{path} holds several suites: {', '.join(names)}", "name one: --suite NAME")
    name = names[0] if name is None else name
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        meant = f"did you mean {near[0]!r}?" if near else f"it holds: {', '.join(names)}"
        raise UserError(f"{path} holds no suite {name!r}", meant)
    return max((each for each in facts if each.suite.name == name), key=lambda each: each.suite.version)


def _documents(path: Path) -> Iterator[tuple[Path, bytes | OSError]]:
    compact = path / RECORDS_FILE
    if (path / FACTS_FILE).is_file():
        lines = compact.read_bytes().splitlines() if compact.is_file() else []
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield Path(f"{RECORDS_FILE}:{number}"), line
        return
    for file in StorePaths(path).records():
        try:
            yield file.relative_to(path), file.read_bytes()
        except OSError as error:
            yield file.relative_to(path), error


def _parse(origin: Path, text: bytes | OSError) -> Record | DamagedLine:
    if isinstance(text, OSError):
        return DamagedLine(str(origin), f"cannot be read: {text.strerror}")
    try:
        record = Record.model_validate_json(text)
    except ValidationError as error:
        return DamagedLine(str(origin), _first_line(error))
    is_filed = origin.suffix == ".json"
    if is_filed and (origin.parent.name, origin.stem) != (record.key, record.environment.env_class):
        return DamagedLine(str(origin), "its key or environment class differs from its address")
    if not all(map(math.isfinite, record.sets.values())):
        return DamagedLine(str(origin), "a set metric is not a number")
    for name, values in (*record.quality.items(), *record.generations.items()):
        if not all(map(math.isfinite, values)):
            return DamagedLine(str(origin), f"metric {name!r} holds a value that is not a number")
    return record


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        return f"{place}: {first['msg']}" if place else first["msg"]
    return str(error).splitlines()[0]


def _order(record: Record) -> tuple[str, float, str, str, int, str]:
    return (record.protection.name, record.strength, record.artist, record.attack.name, record.seed, record.key)
