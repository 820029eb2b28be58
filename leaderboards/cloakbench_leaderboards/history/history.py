"""What boards have said over time: a line for each protection, version, suite and environment, beside the records."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from cloakbench.errors import UserError
from cloakbench.files import write_whole
from cloakbench.schemas.record import Record
from cloakbench.store.reading import Loaded, load
from cloakbench_leaderboards.scores.evidence import BoardEntry, Evidence, gather
from cloakbench_leaderboards.scores.scores import ScoredPoint as Scored
from cloakbench_leaderboards.scores.statistics import Estimate
from cloakbench_leaderboards.versions.sides import COMPARED

HISTORY_FILE = "history.jsonl"
DIGITS = 6


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MeasuredScore(_Frozen):
    """P under one attack at one operating point."""

    attack: str
    at: str
    """`strength 1`, or `target 0.08` of the suite's matching metric."""
    p: float
    low: float | None
    """Limits of the 95 % interval; none below six artists."""
    high: float | None
    artists: int


class HistoryPoint(_Frozen):
    """What the records said about one version of a protection, in one suite version and environment."""

    suite: str
    suite_version: int
    protection: str
    version: str
    package: str
    """Of the digest of its code, the beginning."""
    env_class: str
    device: str
    salt: str
    """Of the salt's digest, the beginning."""
    measured: str
    """When its newest record was made."""
    cells: int
    values: tuple[MeasuredScore, ...]

    @property
    def identity(self) -> str:
        """What makes it another point: everything but when it was measured, so that a rebuilt board adds nothing."""
        return hashlib.sha256(self.model_copy(update={"measured": ""}).model_dump_json().encode()).hexdigest()


def points(evidence: Evidence) -> list[HistoryPoint]:
    """Returns a point for each submission of a board, and for random noise."""
    records: dict[str, list[Record]] = {}
    for each in evidence.records:
        records.setdefault(each.protection.name, []).append(each)
    scored: dict[str, list[Scored]] = {}
    for point in evidence.scores.summary.values():
        scored.setdefault(point.protection, []).append(point)
    found = []
    for entry in evidence.entries:
        measured = _values(evidence, entry, scored.get(entry.name, []))
        values = tuple(sorted(measured, key=lambda each: (each.attack, each.at)))
        if entry.facts.role in COMPARED and values:
            found.append(_point(records[entry.name], values))
    return found


def read(source: Path) -> list[HistoryPoint]:
    """Returns the points that were kept beside the records of a folder; none where no history was begun.

    Raises UserError for a line that is no point.
    """
    path = source / HISTORY_FILE
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    try:
        return united(HistoryPoint.model_validate_json(line) for line in lines if line.strip())
    except ValidationError as error:
        raise UserError(
            f"expected a point of a board's history in each line of {path}, got: {error.errors()[0]['msg']}",
            "Correct or remove the line; each stands for itself.",
        ) from None


def united(found: Iterable[HistoryPoint]) -> list[HistoryPoint]:
    """Returns points without doubles, by suite, protection and time: in whatever order they come, the same list."""
    first: dict[str, HistoryPoint] = {}
    for each in sorted(found, key=lambda each: each.measured):
        first.setdefault(each.identity, each)
    return sorted(first.values(), key=_order)


def remember(source: Path, suite: str | None = None, into: Path | None = None) -> int:
    """Adds what the records of `source` say to its history, or to that of the folder `into`; returns how many are new.

    All versions and environments that the records hold are told, not only those that a board shows. The file is
    rewritten sorted, one line a point, so that two histories merge line by line and a repetition changes nothing.
    """
    said = [point for layer in layers(load(source, suite)) for point in points(gather(layer))]
    return add([*read(source), *said], source if into is None else into)


def add(found: Iterable[HistoryPoint], folder: Path) -> int:
    """Adds points to the history of a folder and returns how many of them it lacked."""
    known = read(folder)
    both = united([*known, *found])
    if len(both) > len(known):
        write_whole(folder / HISTORY_FILE, "".join(each.model_dump_json() + "\n" for each in both).encode())
    return len(both) - len(known)


def layers(loaded: Loaded) -> Iterator[Loaded]:
    """Yields the records apart by what no board mixes: environment class and salt, and versions of one protection."""
    arms: dict[tuple[str, str], list[Record]] = {}
    for each in loaded.records:
        arms.setdefault((each.environment.env_class, each.salt_digest), []).append(each)
    for _, records in sorted(arms.items()):
        newest: dict[str, dict[tuple[str, str], str]] = {}
        for each in records:
            ages = newest.setdefault(each.protection.name, {})
            ages[_version(each)] = max(ages.get(_version(each), ""), each.created)
        ranked = {name: sorted(ages, key=lambda v: (ages[v], v), reverse=True) for name, ages in newest.items()}
        yield from (_layer(loaded, records, ranked, depth) for depth in range(max(map(len, ranked.values()))))


def _layer(loaded: Loaded, records: Sequence[Record], ranked: dict[str, list[tuple[str, str]]], depth: int) -> Loaded:
    """Returns the records with each submission in its version of that age, and the controls as they are."""
    kept = [
        each
        for each in records
        if each.protection.role != "submission" or ranked[each.protection.name][depth:][:1] == [_version(each)]
    ]
    return loaded._replace(records=kept)


def _version(record: Record) -> tuple[str, str]:
    return record.protection.version, record.protection.package_digest


def _values(evidence: Evidence, entry: BoardEntry, scored: Sequence[Scored]) -> Iterator[MeasuredScore]:
    sought = entry.subject.calibrations
    stops = [(f"strength {strength:g}", strength) for strength in evidence.suite.strengths]
    stops += [(f"target {target:g}", found.strength) for target, found in sought.items() if found.strength]
    for each in scored:
        if each.p.n:
            yield from (_measured(each.attack, at, each.p) for at, place in stops if place == each.strength)


def _measured(attack: str, at: str, p: Estimate) -> MeasuredScore:
    low, high = (round(p.low, DIGITS), round(p.high, DIGITS)) if p.has_interval else (None, None)
    return MeasuredScore(attack=attack, at=at, p=round(p.value, DIGITS), low=low, high=high, artists=p.n)


def _point(records: Sequence[Record], values: tuple[MeasuredScore, ...]) -> HistoryPoint:
    newest = max(records, key=lambda each: (each.created, each.key))
    return HistoryPoint(
        suite=newest.suite,
        suite_version=newest.suite_version,
        protection=newest.protection.name,
        version=newest.protection.version,
        package=newest.protection.package_digest[:12],
        env_class=newest.environment.env_class,
        device=newest.environment.device,
        salt=newest.salt_digest[:12],
        measured=newest.created,
        cells=len(records),
        values=values,
    )


def _order(point: HistoryPoint) -> tuple[str, int, str, str, str, str, str]:
    return (
        point.suite,
        point.suite_version,
        point.env_class,
        point.salt,
        point.protection,
        point.measured,
        point.identity,
    )
