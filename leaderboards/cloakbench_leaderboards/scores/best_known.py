"""Best known P: P of each protection under the strongest attack, those of packages included.

Attacks of packages never change the suite's own numbers. They can only lower this column, which names the attack.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import NamedTuple

from cloakbench.schemas.kinds import Role
from cloakbench.schemas.record import Record
from cloakbench.schemas.suite import AttackSpec, SuiteFacts
from cloakbench.store import key
from cloakbench_leaderboards import text
from cloakbench_leaderboards.data import frames
from cloakbench_leaderboards.data.selection import select
from cloakbench_leaderboards.scores import aggregates, statistics
from cloakbench_leaderboards.scores.scores import score
from cloakbench_leaderboards.scores.setting import EntryPoints, Setting, Value
from cloakbench_leaderboards.scores.standings import RankColumn, Standings
from cloakbench_leaderboards.scores.statistics import Estimate

KEY = "best known"
TITLE = "best known P"
PROTECT, MIMICRY = "protect", "mimicry"
STAGES = {"countermeasure": "countermeasure", MIMICRY: "generate"}
"""The stage that a package's attack is, by its kind."""


class SortedRecords(NamedTuple):
    """Records of the suite's own attacks, and of attacks that packages offer."""

    of_suite: list[Record]
    of_packages: list[Record]


def split_by_origin(records: Sequence[Record]) -> SortedRecords:
    """Returns the records by where their attack comes from."""
    of_suite: list[Record] = []
    of_packages: list[Record] = []
    for record in records:
        (of_suite if record.attack.package is None else of_packages).append(record)
    return SortedRecords(of_suite, of_packages)


def added(
    standing: Standings,
    facts: SuiteFacts,
    records: SortedRecords,
    artists: Sequence[str],
    setting: Setting,
    subjects: Sequence[EntryPoints],
) -> Standings:
    """Returns the standings with the column of best known P, where there are records of packages' attacks."""
    if not records.of_packages:
        return standing
    entries = [subject for subject in subjects if subject.role != Role.FLOOR]
    lowest = column(facts, records, artists, setting, entries, standing.rank_column)
    return replace(standing, columns={**standing.columns, lowest.key: lowest})


def column(
    facts: SuiteFacts,
    records: SortedRecords,
    artists: Sequence[str],
    setting: Setting,
    entries: Sequence[EntryPoints],
    ranked: RankColumn,
) -> RankColumn:
    """Returns the column of the lowest P of each entry: that which the rank rests on, or one under a package's attack.

    Args:
        facts: The suite and its attacks.
        records: Those of the suite and of packages.
        artists: The suite's artists.
        setting: What the suite's own numbers rest on.
        entries: The entries, in the order of `ranked`.
        ranked: The column that the rank rests on.
    """
    of_suite = select(records.of_suite).records
    outside = [_on_scale(record, facts) for record in comparable(of_suite, records.of_packages)]
    attacks = _attacks(outside)
    chosen = select([*of_suite, *outside]).records
    rows = frames.rows(chosen)
    cells = frames.cells(frames.places(chosen), rows, facts.suite.metrics.primary)
    scores = score(cells, [*facts.ranked, *attacks.values()], artists, 1)
    extended = replace(
        setting, attacks=[*facts.ranked, *attacks.values()], grid=scores.grid, clean=scores.clean, cache={}
    )
    values, estimates = [], []
    for entry, value, estimate in zip(entries, ranked.values, ranked.estimates, strict=True):
        lowest = (value._replace(note=value.note or f"no attack of a package is lower than {ranked.title}"), estimate)
        for name, attack in attacks.items():
            lowest = _lower(
                lowest,
                aggregates.protection(extended, entry, attack.name, setting.middle),
                [record for record in chosen if record.attack.name == name],
            )
        values.append(lowest[0])
        estimates.append(lowest[1])
    return RankColumn(KEY, TITLE, tuple(values), tuple(estimates))


def comparable(of_suite: Sequence[Record], of_packages: Sequence[Record]) -> list[Record]:
    """Returns the records of packages' attacks that start from the images that the suite's own attacks start from.

    A record of other images, of another version of the protection or of another environment says nothing about what
    the board shows.
    """
    started: dict[tuple[str, ...], list[str] | None] = {}
    for record in of_suite:
        started[_start(record)] = record.digests.get(PROTECT)
    same = []
    for record in of_packages:
        if _start(record) in started and started[_start(record)] == record.digests.get(PROTECT):
            same.append(record)
    return same


def _start(record: Record) -> tuple[str, ...]:
    """Returns whose protected images a record starts from, made how, in which environment and under which salt."""
    recipe = key.digest(record.components.get(PROTECT, {}))
    strength = f"{record.strength} {record.target}"
    return (
        record.protection.name,
        strength,
        record.artist,
        recipe,
        record.environment.env_class,
        record.salt_digest,
    )


def _on_scale(record: Record, facts: SuiteFacts) -> Record:
    """Returns a record whose P is on the scale of the suite's mimicry on the same model.

    A package's mimicry is compared with what the suite's own one learns from clean images: its own clean images could
    be bad on purpose.
    """
    package = record.attack.package
    if package is None or package.kind != MIMICRY:
        return record
    for attack in facts.ranked:
        if attack.countermeasure is None and attack.model == record.attack.model:
            changes = {"mimicry": attack.mimicry, "countermeasure": package.spelling}
            return record.model_copy(update={"attack": record.attack.model_copy(update=changes)})
    return record


def _attacks(records: Sequence[Record]) -> Mapping[str, AttackSpec]:
    specs = {}
    for record in sorted(records, key=lambda record: record.attack.name):
        attack = record.attack
        specs[attack.name] = AttackSpec(name=attack.name, mimicry=attack.mimicry, model=attack.model)
    return specs


def _lower(lowest: tuple[Value, Estimate], value: Value, records: Sequence[Record]) -> tuple[Value, Estimate]:
    """Returns the lower of two numbers; that of a package's attack only where nothing is missing in it."""
    estimate = statistics.estimates(value.artists[None]).rows()[0]
    before = lowest[1].value
    if not value.is_whole or not (math.isfinite(estimate.value) and math.isfinite(before)):
        return lowest
    if before <= estimate.value:
        return lowest
    return value._replace(note=described(records)), estimate


def described(records: Sequence[Record]) -> str:
    """Returns in words which attack it was: name, package, version, date, knowledge, and seconds per image."""
    newest = max(records, key=lambda record: record.created)
    package = newest.attack.package
    assert package is not None
    stage, seconds = STAGES[package.kind], []
    for record in records:
        if stage in record.cost and record.digests.get(stage):
            seconds.append(record.cost[stage].device_s / len(record.digests[stage]))
    cost = f", {fmean(seconds):.2g} s per image" if seconds else ""
    origin = f"{package.distribution} {package.version}, {newest.created[:10]}"
    return text.plain(f"{package.spelling} ({origin}, knowledge: {package.knowledge}{cost})", 400)
