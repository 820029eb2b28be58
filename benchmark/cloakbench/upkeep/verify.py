"""`cloakbench verify`: does a folder of records say of itself what can be computed again."""

from __future__ import annotations

import datetime
import json
import random
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from cloakbench.cells import environment
from cloakbench.errors import UserError
from cloakbench.files import find_links
from cloakbench.runs.official import PUBLIC_SALT
from cloakbench.schemas.kinds import Status
from cloakbench.schemas.recipes import EditRecipe, ImitateRecipe, Recipes
from cloakbench.schemas.record import Record
from cloakbench.schemas.suite import Suite
from cloakbench.store import key, origins, reading, seeds, signing
from cloakbench.store.store import CorruptFile, Store
from cloakbench.upkeep.recompute import Recomputed, Recomputer, allowed_levels
from cloakbench_leaderboards.board.board import view
from cloakbench_leaderboards.scores.evidence import gather
from cloakbench_leaderboards.site import site

LAST = "measure"
"""The stage whose key is the cell's."""
SAMPLE = 20
"""How many cells are computed again unless all are asked for."""
MOST_NAMED = 20
"""Differing numbers of a board that are named one by one."""
MALFORMED = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What computing raises where a record holds other values than a run writes."""
CLOCK_TOLERANCE = datetime.timedelta(days=1)


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


class Checked(NamedTuple):
    """How many kept images were compared with the digests of records, and what is wrong."""

    images: int
    problems: list[str]


def verify(
    path: Path, suite: str | None = None, board: Path | None = None, *, is_deep: bool = False, seed: int | None = None
) -> VerifyReport:
    """Computes again what a store or reference folder says of itself.

    A record's key must be that of its recipe, a recipe's parents those of the recipes beside it; what a record says
    about itself must be what its recipe and environment say; a good record must hold a value for each image and metric
    of its suite, or a reason; kept images must have the digests that the record names. No cell of one environment class
    may have two different results. The budget and the values of metrics are computed again where the images, or
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
    loaded = reading.load(path, suite)
    seed = secrets.randbits(32) if seed is None else seed
    checked = _check_all(loaded, Store(path))
    again = _recompute(loaded, Store(path), None if is_deep else seed)
    problems = [*_find_damage(path, loaded), *checked.problems, *again.problems]
    if board is not None:
        problems += aggregates(board, loaded)
    return VerifyReport(
        suite=loaded.facts.suite.name,
        records=len(loaded.records),
        images=checked.images,
        signed=_count_signed(loaded),
        problems=problems,
        merged=_count_merged(path, loaded.records),
        recomputed=again.values,
        seed=seed,
    )


def _find_damage(path: Path, loaded: reading.Loaded) -> list[str]:
    """Returns the problems that belong to no record: damaged files, links, and cells that have two results."""
    damaged = [f"{line.path}: {line.reason}" for line in loaded.damaged]
    links = [f"{link}: expected a file, got a symbolic link" for link in find_links(path)]
    return [*damaged, *links, *loaded.conflicts]


def _count_signed(loaded: reading.Loaded) -> int:
    return sum(signing.digest(record) in loaded.signed for record in loaded.records) if loaded.signed else 0


def _count_merged(path: Path, records: Sequence[Record]) -> int:
    merged = origins.read(path)
    return sum((record.key, record.environment.env_class) in merged for record in records)


def _check_all(loaded: reading.Loaded, store: Store) -> Checked:
    """Checks every record on its own, and its kept images against its digests."""
    images, problems = 0, []
    for record in loaded.records:
        count, sentences = _check(record, store, loaded.facts.suite)
        images += count
        problems += _named(record, sentences)
    return Checked(images, problems)


def _named(record: Record, sentences: Iterable[str]) -> list[str]:
    """Returns the sentences with the record that they are about before them."""
    return [f"{record.key[:16]} ({_describe(record)}): {sentence}" for sentence in sentences]


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


def _check(record: Record, store: Store, suite: Suite) -> tuple[int, list[str]]:
    """Returns how many images of a record were compared with its digests, and what is wrong with it."""
    try:
        recipes = Recipes.model_validate(record.components)
        stages = key.by_stage(record.components)
    except ValueError as error:  # components may be any JSON
        return 0, [f"expected recipes as a run writes them, got {' '.join(str(error).split())}"]
    count, wrong = kept(record, stages, store)
    wrong = [*keys(record, recipes, stages), *claims(record, recipes), *limits(record), *wrong]
    return count, [*wrong, *measures(record, recipes, suite)]


def limits(record: Record) -> list[str]:
    """Returns whether a record states more change than its budget allows, or a time that has not come yet."""
    wrong = []
    levels, changes = allowed_levels(record), record.quality.get("linf", [])
    if levels is not None and changes and max(changes) > levels:
        wrong.append(f"expected a change of at most {levels} levels, got {max(changes):g}")
    try:
        created = datetime.datetime.fromisoformat(record.created.replace("Z", "+00:00"))
    except ValueError:
        return [*wrong, f"expected a time, got {record.created}"]
    if created > datetime.datetime.now(datetime.UTC) + CLOCK_TOLERANCE:
        wrong.append(f"expected a time in the past, got {record.created}; check the clock of this machine")
    return wrong


def keys(record: Record, recipes: Recipes, stages: Mapping[str, str]) -> list[str]:
    """Returns what is wrong with a record's keys; `stages` has the key of each of its recipes."""
    wrong = []
    if stages[LAST] != record.key:
        wrong.append(f"expected the key of its recipe, {stages[LAST][:16]}")
    for recipe in recipes.stages():
        for parent, digest in recipe.parents.items():
            if stages.get(parent) != digest:
                wrong.append(
                    f"expected the parent {parent!r} of {recipe.stage!r} to be its recipe's, got {digest[:16]}"
                )
    return wrong


def claims(record: Record, recipes: Recipes) -> list[str]:
    """Returns what a record says about itself that its recipe, or its environment, does not."""
    protect, generate = recipes.protect, recipes.generate
    where, facts = record.environment, record.protection
    pairs: list[tuple[str, object, object]] = [
        ("environment class", where.env_class, environment.class_of(where.device, where.threads, where.packages)),
        ("mimicry", record.attack.mimicry, generate.label),
    ]
    if protect is not None:
        pairs += [
            ("protection", facts.name, protect.protection),
            ("version", facts.version, protect.protection_version),
            ("package digest", facts.package_digest, protect.package),
        ]
        if protect.strength is not None:
            pairs.append(("strength", record.strength, protect.strength))
    if record.salt_digest == seeds.salt_digest(PUBLIC_SALT):
        stage = generate.name if isinstance(generate, EditRecipe) else generate.stage
        derived = seeds.derive(PUBLIC_SALT, record.suite, record.artist, record.seed, stage)
        pairs.append(("seed of its suite, artist and index", generate.seed, derived))
    return [
        f"expected the {field} {derived!r}, got {stated!r}" for field, stated, derived in pairs if stated != derived
    ]


def measures(record: Record, recipes: Recipes, suite: Suite) -> list[str]:
    """Returns which metrics or values a good record lacks without saying why."""
    if record.status is not Status.OK:
        return [] if record.reason else [f"expected a reason for the status {record.status}, got none"]
    present = {*record.quality, *record.generations, *record.sets, *record.skipped}
    exempt = set() if recipes.protect else set(suite.metrics.quality)
    missing = sorted(recipes.measure.metrics.keys() - present - exempt)
    wrong = [f"expected the metric {name!r}, got none" for name in missing]
    protected = recipes.protect.images if recipes.protect else []
    wrong += _counted(record.quality, len(protected))
    if isinstance(recipes.generate, ImitateRecipe):
        wrong += _counted(record.generations, len(suite.sampling.prompts) * suite.sampling.per_prompt)
    if len(record.digests.get("protect", [])) != len(protected):
        got = len(record.digests.get("protect", []))
        wrong.append(f"expected the digests of {len(protected)} protected images, got {got}")
    return wrong


def _counted(rows: dict[str, list[float]], count: int) -> list[str]:
    wrong = []
    for name, values in sorted(rows.items()):
        if len(values) != count:
            wrong.append(f"expected {count} values of the metric {name!r}, got {len(values)}")
    return wrong


def kept(record: Record, stages: Mapping[str, str], store: Store) -> tuple[int, list[str]]:
    """Returns how many kept images of a record were read, and which stages differ from its digests."""
    count, wrong = 0, []
    for stage, digests in record.digests.items():
        if stage not in stages:
            continue
        try:
            stored = store.read_images(stages[stage], record.environment.env_class)
        except CorruptFile as error:
            wrong.append(error.message)
            continue
        if stored is not None:
            count += len(stored[0])
            if stored[1]["digests"] != digests:
                wrong.append(f"expected the images of {stage!r} that the record names, got others")
    return count, wrong


def aggregates(board: Path, loaded: reading.Loaded) -> list[str]:
    """Returns what of a `board.json` does not follow from the records; raises UserError where there is no JSON."""
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
