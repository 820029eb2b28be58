"""Scores of boards over time: one line per protection, version, suite and environment."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import to_json

from cloakbench.errors import UserError
from cloakbench.files import write_whole
from cloakbench.schemas import fields
from cloakbench.schemas.kinds import Role
from cloakbench.schemas.record import Record
from cloakbench.store.reading import Loaded, load
from cloakbench.user_files import read_text
from cloakbench_leaderboards.data.points import PointAddress, PointKind
from cloakbench_leaderboards.scores.evidence import BoardEntry, Evidence, gather
from cloakbench_leaderboards.scores.scores import ScoredPoint
from cloakbench_leaderboards.scores.statistics import Estimate

HISTORY_FILE = "history.jsonl"
DIGITS = 6
Version = tuple[str, str]
"""Version and package digest of a protection."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MeasuredScore(_Frozen):
    """P under one attack at one operating point."""

    attack: fields.Name
    kind: PointKind
    value: fields.FiniteFloat
    """The strength, or the limit of the suite's matching metric."""
    p: fields.FiniteFloat
    low: fields.FiniteFloat | None
    """Limits of the 95 % interval; none below six artists."""
    high: fields.FiniteFloat | None
    artists: fields.Count

    @model_validator(mode="before")
    @classmethod
    def _from_words(cls, data: Any) -> Any:
        """Reads lines of older histories, which name the operating point in words: `target 0.08`."""
        if isinstance(data, dict) and isinstance(data.get("at"), str):
            kind, _, value = data["at"].partition(" ")
            point = {"kind": kind, "value": value}
            return point | {name: field for name, field in data.items() if name != "at"}
        return data

    @property
    def at(self) -> PointAddress:
        """The operating point."""
        return PointAddress(self.kind, self.value)


class HistoryPoint(_Frozen):
    """Scores of one version of a protection, in one suite version and environment."""

    suite: fields.Identifier
    suite_version: fields.Count
    protection: fields.EntryName
    version: fields.Name
    package: fields.Name
    """The first 12 digits of the digest of its code."""
    env_class: fields.Name
    device: fields.Name
    salt: fields.Name
    """The first 12 digits of the salt's digest."""
    measured: fields.Name
    """Time of its newest record."""
    cells: fields.Count
    values: tuple[MeasuredScore, ...]

    @property
    def identity(self) -> str:
        """Digest of everything but the time of measurement, so that a rebuilt board adds no point.

        It follows the first format of a line, with the operating point in words: ids of a feed never change.
        """
        content = self.model_dump(mode="json") | {"measured": ""}
        content["values"] = [_in_words(score) for score in self.values]
        return hashlib.sha256(to_json(content)).hexdigest()


def _in_words(score: MeasuredScore) -> dict[str, Any]:
    content = {"attack": score.attack, "at": score.at.words}
    return content | score.model_dump(mode="json", include={"p", "low", "high", "artists"})


def points(evidence: Evidence) -> list[HistoryPoint]:
    """Returns a point for each submission of a board, and for random noise."""
    records: dict[str, list[Record]] = {}
    for record in evidence.records:
        records.setdefault(record.protection.name, []).append(record)
    scored: dict[str, list[ScoredPoint]] = {}
    for point in evidence.scores.summary.values():
        scored.setdefault(point.protection, []).append(point)
    entries = []
    for entry in evidence.entries:
        values = sorted(_values(evidence, entry, scored.get(entry.name, [])), key=_score_order)
        if entry.facts.role.has_strengths and values:
            entries.append(_point(records[entry.name], tuple(values)))
    return entries


def read(source: Path) -> list[HistoryPoint]:
    """Returns the points in the history of a folder of records; none where there is no history.

    Raises UserError for a line that is no point.
    """
    path = source / HISTORY_FILE
    lines = read_text(path).splitlines() if path.is_file() else []
    try:
        points = []
        for line in lines:
            if line.strip():
                points.append(HistoryPoint.model_validate_json(line))
        return united(points)
    except ValidationError as error:
        raise UserError(
            f"expected a point of a board's history in each line of {path}, got: {error.errors()[0]['msg']}",
            "Correct or remove the line; lines do not depend on each other.",
        ) from None


def united(history: Iterable[HistoryPoint]) -> list[HistoryPoint]:
    """Returns the points without duplicates, sorted by suite, protection and time."""
    first: dict[str, HistoryPoint] = {}
    for point in sorted(history, key=lambda point: point.measured):
        first.setdefault(point.identity, point)
    return sorted(first.values(), key=_order)


def remember(source: Path, suite: str | None = None, into: Path | None = None) -> int:
    """Adds the scores of the records of `source` to its history, or to that of the folder `into`.

    All versions and environments that the records hold get a point, not only those that a board shows. The file is
    rewritten sorted, one line per point, so that two histories merge line by line and a repetition changes nothing.

    Returns:
        How many points are new.
    """
    history = read(source)
    for layer in layers(load(source, suite)):
        history += points(gather(layer))
    return add(history, source if into is None else into)


def add(history: Iterable[HistoryPoint], folder: Path) -> int:
    """Adds points to the history of a folder and returns how many of them it lacked."""
    present = read(folder)
    both = united([*present, *history])
    if len(both) > len(present):
        lines = [f"{point.model_dump_json()}\n" for point in both]
        write_whole(folder / HISTORY_FILE, "".join(lines).encode())
    return len(both) - len(present)


def layers(loaded: Loaded) -> Iterator[Loaded]:
    """Yields the records board by board: none mixes environment classes, salts or versions of a protection."""
    arms: dict[tuple[str, str], list[Record]] = {}
    for record in loaded.records:
        arms.setdefault((record.environment.env_class, record.salt_digest), []).append(record)
    for _, records in sorted(arms.items()):
        versions = _versions(records)
        for depth in range(max(map(len, versions.values()))):
            yield _layer(loaded, records, versions, depth)


def _versions(records: Sequence[Record]) -> dict[str, list[Version]]:
    """Returns the versions of each entry, the newest first."""
    newest: dict[str, dict[Version, str]] = {}
    for record in records:
        ages = newest.setdefault(record.protection.name, {})
        ages[_version(record)] = max(ages.get(_version(record), ""), record.created)
    ordered = {}
    for name, ages in newest.items():
        by_age = []
        for version, created in ages.items():
            by_age.append((created, version))
        ordered[name] = [version for _, version in sorted(by_age, reverse=True)]
    return ordered


def _layer(loaded: Loaded, records: Sequence[Record], versions: dict[str, list[Version]], depth: int) -> Loaded:
    """Returns the records with each submission in its version of that age, and the controls as they are."""
    chosen = []
    for record in records:
        own = versions[record.protection.name]
        if record.protection.role != Role.SUBMISSION or own[depth:][:1] == [_version(record)]:
            chosen.append(record)
    return loaded._replace(records=chosen)


def _version(record: Record) -> Version:
    return record.protection.version, record.protection.package_digest


def _values(evidence: Evidence, entry: BoardEntry, scored: Sequence[ScoredPoint]) -> Iterator[MeasuredScore]:
    points = []
    for strength in evidence.suite.strengths:
        points.append((PointAddress(PointKind.STRENGTH, strength), strength))
    for target, calibration in entry.subject.calibrations.items():
        if calibration.strength:
            points.append((PointAddress(PointKind.TARGET, target), calibration.strength))
    for point in scored:
        for address, strength in points:
            if point.p.n and strength == point.strength:
                yield _measured(point.attack, address, point.p)


def _measured(attack: str, at: PointAddress, p: Estimate) -> MeasuredScore:
    low, high = (round(p.low, DIGITS), round(p.high, DIGITS)) if p.has_interval else (None, None)
    value = round(p.value, DIGITS)
    return MeasuredScore(attack=attack, kind=at.kind, value=at.value, p=value, low=low, high=high, artists=p.n)


def _score_order(score: MeasuredScore) -> tuple[str, str]:
    return score.attack, score.at.words


def _point(records: Sequence[Record], values: tuple[MeasuredScore, ...]) -> HistoryPoint:
    newest = max(records, key=lambda record: (record.created, record.key))
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
