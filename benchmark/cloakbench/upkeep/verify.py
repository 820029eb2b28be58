"""`cloakbench verify`: computes again what a folder of records states, and names the differences."""

from __future__ import annotations

import json
import random
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cloakbench.errors import UserError
from cloakbench.files import find_links
from cloakbench.schemas.kinds import Status
from cloakbench.schemas.record import Record
from cloakbench.store import key, origins, reading, signing
from cloakbench.store.store import Store
from cloakbench.upkeep.commits import CommitChecker
from cloakbench.upkeep.intake import require_regular
from cloakbench.upkeep.recompute import Recomputed, Recomputer
from cloakbench.upkeep.record_checks import Checked, check
from cloakbench_leaderboards.board.board import view
from cloakbench_leaderboards.scores.evidence import gather
from cloakbench_leaderboards.site import site

SAMPLE = 20
"""How many cells are computed again unless all are asked for."""
MOST_NAMED = 20
"""Differing numbers of a board that are named one by one."""
MALFORMED = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What computing raises where a record holds other values than a run writes."""


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was checked and what is wrong, one sentence each."""

    suite: str
    records: int
    images: int
    signed: int
    """Records that a key of the allowed signers vouches for."""
    problems: list[str]
    merged: int = 0
    """Records that another store or an archive brought."""
    recomputed: int = 0
    """Metrics of single cells that were computed again from kept images or features."""
    seed: int = 0
    """What the cells to compute again were drawn with."""
    compared: int = 0
    """Records whose versions of stages and metrics were compared with the commit that they name."""
    not_compared: dict[str, int] = field(default_factory=dict)
    """How many were not, by reason."""


def verify(
    path: Path, suite: str | None = None, board: Path | None = None, *, is_deep: bool = False, seed: int | None = None
) -> VerifyReport:
    """Computes again what the records of a store or reference folder state.

    A record's key must be that of its recipe, a recipe's parents those of the recipes beside it; what a record says
    about itself must be what its recipe and environment say; a good record must hold a value for each image and metric
    of its suite, or a reason; kept images must have the digests that the record names. The versions of stages and
    metrics must be those of the commit that it names, where this repository has it. No cell of one environment class
    may have two different results. A canary must be such a record of a cell that has one. Kept features must have the
    shape that their network gives. The budget and the values of metrics are computed again where the images, or
    features of them, are kept and the originals are shipped.

    Args:
        path: The store or reference folder.
        suite: Which suite, where it holds several.
        board: A `board.json`; every number of it is worked out from the records again.
        is_deep: Compute the values of all cells again, in place of `SAMPLE` of them.
        seed: What these cells are drawn with; a random number by default.

    Returns:
        What was checked, and a sentence for each problem.

    Raises:
        UserError: There are no records, or no such board.
    """
    require_regular(path)
    loaded = reading.load(path, suite)
    seed = secrets.randbits(32) if seed is None else seed
    commits = CommitChecker()
    checked = _check_all(loaded, Store(path), commits)
    again = _recompute(loaded, Store(path), None if is_deep else seed)
    canaries, merged = _check_canaries(path, loaded), origins.read(path)
    problems = [*_find_damage(path, loaded), *checked.problems, *again.problems, *canaries]
    if board is not None:
        problems += aggregates(board, loaded)
    return VerifyReport(
        suite=loaded.facts.suite.name,
        records=len(loaded.records),
        images=checked.images,
        signed=_count_signed(loaded),
        problems=problems,
        merged=sum((record.key, record.environment.env_class) in merged for record in loaded.records),
        recomputed=again.values,
        seed=seed,
        compared=commits.compared,
        not_compared={str(reason): count for reason, count in sorted(commits.unchecked.items())},
    )


def _find_damage(path: Path, loaded: reading.Loaded) -> list[str]:
    """Returns the problems that belong to no record: damaged files, links, and cells that have two results."""
    problems = [f"{line.path}: {line.reason}" for line in loaded.damaged]
    problems += [f"{link}: expected a file, got a symbolic link" for link in find_links(path)]
    return [*problems, *loaded.conflicts]


def _count_signed(loaded: reading.Loaded) -> int:
    return sum(signing.digest(record) in loaded.signed for record in loaded.records) if loaded.signed else 0


def _check_all(loaded: reading.Loaded, store: Store, commits: CommitChecker) -> Checked:
    """Checks every record on its own, its kept images against its digests, and its versions against its commit."""
    images, problems = 0, []
    for record in loaded.records:
        count, sentences = check(record, store, loaded.facts.suite)
        images += count
        problems += _named(record, [*sentences, *commits.check(record)])
    return Checked(images, problems)


def _named(record: Record, sentences: Iterable[str]) -> list[str]:
    """Returns the sentences with the record that they are about before them."""
    return [f"{record.key[:16]} ({_describe(record)}): {sentence}" for sentence in sentences]


def _check_canaries(path: Path, loaded: reading.Loaded) -> list[str]:
    """Returns what is wrong with repetitions of control cells: each is a record, and its cell has one too."""
    problems, cells = [], {(record.key, record.environment.env_class) for record in loaded.records}
    for entry in reading.filed_canaries(path):
        if isinstance(entry, reading.DamagedLine):
            problems.append(f"{entry.path}: {entry.reason}")
            continue
        record = entry.record
        if (record.suite, record.suite_version) != (loaded.facts.suite.name, loaded.facts.suite.version):
            continue
        sentences = check(record, Store(path), loaded.facts.suite)[1]
        if not record.protection.role.is_control:
            sentences.append(f"expected a reference to run again, got {record.protection.name!r}")
        if (record.key, record.environment.env_class) not in cells:
            sentences.append("expected the record of the cell that ran again, got none")
        problems += [f"{entry.path}: {sentence}" for sentence in sentences]
    return problems


def _recompute(loaded: reading.Loaded, store: Store, seed: int | None) -> Recomputed:
    """Computes values of all good records again, or of a sample of them drawn with `seed`."""
    records = [record for record in loaded.records if record.status is Status.OK and _has_images(record, store)]
    if seed is not None:
        records = random.Random(seed).sample(records, min(SAMPLE, len(records)))
    recomputer = Recomputer(store, loaded.facts.suite)
    values, problems = 0, []
    for record in records:
        try:
            done = recomputer.check(record)
        except MALFORMED as error:
            done = Recomputed(0, [f"expected values that can be computed again, got {type(error).__name__}: {error}"])
        values += done.values
        problems += _named(record, done.problems)
    return Recomputed(values, problems)


def _has_images(record: Record, store: Store) -> bool:
    env_class = record.environment.env_class
    if record.recipes is None:  # named by the other checks
        return False
    stages = key.by_stage(record.components)
    if store.features_path(stages["generate"], env_class).exists():
        return True
    return any(store.images_path(name, env_class).exists() for name in stages.values())


def aggregates(board: Path, loaded: reading.Loaded) -> list[str]:
    """Returns the parts of a `board.json` that do not follow from the records; raises UserError if it is no JSON."""
    try:
        stated = json.loads(board.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"expected a board.json, got {board}: {error}", "Name the one beside index.html.") from error
    derived = json.loads(site.serialise(view(gather(loaded))))
    wrong = list(_differences("", stated, derived))
    named = [f"{board.name}{field}: expected {value!r}, got {got!r}" for field, got, value in wrong[:MOST_NAMED]]
    return [*named, f"{board.name}: {len(wrong) - MOST_NAMED} more"] if len(wrong) > MOST_NAMED else named


def _differences(field: str, stated: Any, derived: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(stated, dict) and isinstance(derived, dict):
        for name in sorted({*stated, *derived}):
            yield from _differences(f"{field}.{name}", stated.get(name), derived.get(name))
    elif isinstance(stated, list) and isinstance(derived, list) and len(stated) == len(derived):
        for number, (value, other) in enumerate(zip(stated, derived, strict=True)):
            yield from _differences(f"{field}[{number}]", value, other)
    elif stated != derived:
        yield field, stated, derived


def _describe(record: Record) -> str:
    return f"{record.protection.name}@{record.strength:g} {record.artist} {record.attack.name} seed {record.seed}"
