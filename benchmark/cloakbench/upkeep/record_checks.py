"""Checks of one record: what it states, computed again from its recipes, its environment and its files."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, NamedTuple

from cloakbench.cells import environment
from cloakbench.runs.official import PUBLIC_SALT
from cloakbench.schemas.kinds import Status
from cloakbench.schemas.recipes import EditRecipe, ImitateRecipe, Recipes
from cloakbench.schemas.record import Record
from cloakbench.schemas.suite import Suite
from cloakbench.store import key, seeds
from cloakbench.store.store import Store
from cloakbench.upkeep import kept_files
from cloakbench.upkeep.recompute import allowed_levels

LAST = "measure"
"""The stage whose key is the cell's."""
CLOCK_TOLERANCE = datetime.timedelta(days=1)


class Checked(NamedTuple):
    """How many kept images were compared with the digests of records, and what is wrong."""

    images: int
    problems: list[str]


def check(record: Record, store: Store, suite: Suite) -> Checked:
    """Returns how many images of a record were compared with its digests, and what is wrong with it."""
    try:
        recipes = Recipes.model_validate(record.components)
        stages = key.by_stage(record.components)
    except ValueError as error:  # components may be any JSON
        return Checked(0, [f"expected recipes as a run writes them, got {' '.join(str(error).split())}"])
    count, wrong = kept_files.check_images(record, stages, store)
    wrong += kept_files.check_features(record, recipes, stages, store, suite)
    wrong = [*keys(record, recipes, stages), *claims(record, recipes), *limits(record), *wrong]
    return Checked(count, [*wrong, *measures(record, recipes, suite)])


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
    """Returns the facts of a record that its recipe or its environment contradicts."""
    protect, generate = recipes.protect, recipes.generate
    where, facts, attack, package = record.environment, record.protection, record.attack, record.attack.package
    in_recipes = getattr(recipes.countermeasure, "package", None) or getattr(generate, "package", None)
    pairs: list[tuple[str, Any, Any]] = [
        ("digest of the attack's package", package.digest if package else None, in_recipes),
        ("name of the attack", attack.name, package.spelling if package else attack.name),
        ("environment class", where.env_class, environment.class_of(where.device, where.threads, where.packages)),
        ("mimicry", attack.mimicry, generate.label),
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
    """Returns the metrics or values that a record lacks without a reason, although its cell ended well."""
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
