"""`cloakbench verify`: does a folder of records say of itself what can be computed again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloakbench.cells import environment
from cloakbench.errors import UserError
from cloakbench.runs.official import PUBLIC_SALT
from cloakbench.schemas.kinds import Status
from cloakbench.schemas.record import Record
from cloakbench.schemas.suite import Suite
from cloakbench.store import key, reading, seeds, signing
from cloakbench.store.store import CorruptFile, Store
from cloakbench_leaderboards.board.board import view
from cloakbench_leaderboards.scores.evidence import gather
from cloakbench_leaderboards.site import site

LAST = "measure"
"""The stage whose key is the cell's."""
MOST_TOLD = 20
"""Differing numbers of a board that are told one by one."""


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was looked at and what is wrong, one sentence each."""

    suite: str
    records: int
    images: int
    signed: int
    """Records that a key of the allowed signers vouches for."""
    problems: list[str]


def verify(path: Path, suite: str | None = None, board: Path | None = None) -> VerifyReport:
    """Computes again what a store or reference folder says of itself; raises UserError where there is nothing.

    A record's key must be that of its recipe, a recipe's parents those of the recipes beside it; what a record says
    about itself must be what its recipe and environment say; a good record must hold a value for each image and metric
    of its suite, or a reason; kept images must have the digests that the record names. Where `board` names a
    `board.json`, every number of it is worked out from the rows again.
    """
    loaded = reading.load(path, suite)
    store = Store(path)
    problems = [f"{damaged.path}: {damaged.reason}" for damaged in loaded.damaged]
    looked = signed = 0
    for record in loaded.records:
        signed += bool(loaded.signed) and signing.digest(record) in loaded.signed
        count, found = _looked(record, store, loaded.facts.suite)
        looked += count
        problems += [f"{record.key[:16]} ({_said(record)}): {what}" for what in found]
    if board is not None:
        problems += aggregates(board, loaded)
    return VerifyReport(loaded.facts.suite.name, len(loaded.records), looked, signed, problems)


def _looked(record: Record, store: Store, suite: Suite) -> tuple[int, list[str]]:
    """Returns how many images of a record were looked at, and what is wrong with it."""
    try:
        count, wrong = kept(record, store)
        return count, [*keys(record), *claims(record), *measures(record, suite), *wrong]
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # components may be any JSON
        return 0, [f"expected recipes as a run writes them, got {type(error).__name__}: {error}"]


def keys(record: Record) -> list[str]:
    """Returns what is wrong with a record's keys."""
    made = {stage: key.digest(recipe) for stage, recipe in record.components.items()}
    wrong = []
    if made.get(LAST) != record.key:
        wrong.append(f"expected the key of its recipe, {str(made.get(LAST))[:16]}")
    for stage, recipe in record.components.items():
        for parent, digest in recipe.get("parents", {}).items():
            if made.get(parent) != digest:
                wrong.append(f"expected the parent {parent!r} of {stage!r} to be its recipe's, got {digest[:16]}")
    return wrong


def claims(record: Record) -> list[str]:
    """Returns what a record says about itself that its recipe, or its environment, does not."""
    asked, made = record.components.get("protect", {}), record.components.get("generate", {})
    where, facts = record.environment, record.protection
    pairs: list[tuple[str, object, object]] = [
        ("environment class", where.env_class, environment.class_of(where.device, where.threads, where.packages))
    ]
    if asked:
        pairs += [
            ("protection", facts.name, asked.get("protection")),
            ("version", facts.version, asked.get("protection_version")),
            ("package digest", facts.package_digest, asked.get("package")),
        ]
        pairs += [("strength", record.strength, asked["strength"])] if "strength" in asked else []
    if record.salt_digest == seeds.salt_digest(PUBLIC_SALT) and "seed" in made:
        stage = "generate" if "mimicry" in made else str(made.get("name"))
        derived = seeds.derive(PUBLIC_SALT, record.suite, record.artist, record.seed, stage)
        pairs.append(("seed of its suite, artist and index", made["seed"], derived))
    mimicry = made.get("mimicry", made.get("name"))
    pairs += [("mimicry", record.attack.mimicry, mimicry)] if made else []
    return [f"expected the {what} {known!r}, got {said!r}" for what, said, known in pairs if said != known]


def measures(record: Record, suite: Suite) -> list[str]:
    """Returns which metrics or values a good record lacks without saying why."""
    if record.status is not Status.OK:
        return [] if record.reason else [f"expected a reason for the status {record.status}, got none"]
    named = set(record.components.get(LAST, {}).get("metrics", {}))
    held = {*record.quality, *record.generations, *record.sets, *record.skipped}
    exempt = set() if "protect" in record.components else set(suite.metrics.quality)
    wrong = [f"expected the metric {name!r}, got none" for name in sorted(named - held - exempt)]
    protected = record.components.get("protect", {}).get("images", [])
    wrong += _counted(record.quality, len(protected))
    if "mimicry" in record.components.get("generate", {}):
        wrong += _counted(record.generations, len(suite.sampling.prompts) * suite.sampling.per_prompt)
    if len(record.digests.get("protect", [])) != len(protected):
        got = len(record.digests.get("protect", []))
        wrong.append(f"expected the digests of {len(protected)} protected images, got {got}")
    return wrong


def _counted(rows: dict[str, list[float]], count: int) -> list[str]:
    return [
        f"expected {count} values of the metric {name!r}, got {len(values)}"
        for name, values in sorted(rows.items())
        if len(values) != count
    ]


def kept(record: Record, store: Store) -> tuple[int, list[str]]:
    """Returns how many kept images of a record were looked at, and which stages differ from its digests."""
    looked, wrong = 0, []
    for stage, digests in record.digests.items():
        if stage not in record.components:
            continue
        try:
            found = store.read_images(key.digest(record.components[stage]), record.environment.env_class)
        except CorruptFile as error:
            wrong.append(error.message)
            continue
        if found is not None:
            looked += len(found[0])
            if found[1]["digests"] != digests:
                wrong.append(f"expected the images of {stage!r} that the record names, got others")
    return looked, wrong


def aggregates(board: Path, loaded: reading.Loaded) -> list[str]:
    """Returns what of a `board.json` does not follow from the records; raises UserError where there is no JSON."""
    try:
        said = json.loads(board.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"expected a board.json, got {board}: {error}", "Name the one beside index.html.") from error
    found = json.loads(site.serialise(view(gather(loaded))))
    wrong = list(_differences("", said, found))
    told = [f"{board.name}{place}: expected {known!r}, got {got!r}" for place, got, known in wrong[:MOST_TOLD]]
    return [*told, f"{board.name}: {len(wrong) - MOST_TOLD} more"] if len(wrong) > MOST_TOLD else told


def _differences(place: str, said: Any, found: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(said, dict) and isinstance(found, dict):
        for name in sorted({*said, *found}):
            yield from _differences(f"{place}.{name}", said.get(name), found.get(name))
    elif isinstance(said, list) and isinstance(found, list) and len(said) == len(found):
        for number, (one, other) in enumerate(zip(said, found, strict=True)):
            yield from _differences(f"{place}[{number}]", one, other)
    elif said != found:
        yield place, said, found


def _said(record: Record) -> str:
    return f"{record.protection.name}@{record.strength:g} {record.artist} {record.attack.name} seed {record.seed}"
