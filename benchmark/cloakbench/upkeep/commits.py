"""Versions of stages and metrics in a record's recipes, compared with the commit that the record names.

A record names the commit of the harness that made it. That commit holds a file with the version of every stage and
metric, which its tests keep up to date. So a recipe with another version was not made by that commit: it was edited.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple

from cloakbench.cells import environment
from cloakbench.schemas.recipes import ChainRecipe, Cleaning, EditRecipe, Recipes
from cloakbench.schemas.record import Record

VERSIONS_FILE = "tests/fingerprints.json"
"""In a commit: name of a stage or metric -> its version and a digest of its code."""
Versions = Mapping[str, int]


class Unchecked(StrEnum):
    """Why the versions of a record are not compared with its commit."""

    DIRTY = "made with changed files beside the commit"
    NO_COMMIT = "the repository does not have the commit, or there is none"
    NO_VERSIONS = "the commit has no file of versions"


class CommitReport(NamedTuple):
    """What the comparison of one record with its commit gave."""

    problems: list[str]
    unchecked: Unchecked | None
    """None where the versions were compared."""


class CommitChecker:
    """Compares records with their commits; each commit is read once."""

    def __init__(self) -> None:
        self._read: dict[str, Versions | Unchecked] = {}
        self.unchecked: Counter[Unchecked] = Counter()
        """How many records were not compared, by reason."""
        self.compared = 0
        """How many records were compared."""

    def check(self, record: Record) -> list[str]:
        """Returns which versions of a record's recipes its commit does not have, one sentence each."""
        report = self._report(record)
        if report.unchecked is None:
            self.compared += 1
        else:
            self.unchecked[report.unchecked] += 1
        return report.problems

    def _report(self, record: Record) -> CommitReport:
        recipes, where = record.recipes, record.environment
        if recipes is None:  # named by the other checks
            return CommitReport([], None)
        if where.dirty:
            return CommitReport([], Unchecked.DIRTY)
        if where.commit not in self._read:
            self._read[where.commit] = _versions_at(where.commit)
        versions = self._read[where.commit]
        if isinstance(versions, Unchecked):
            return CommitReport([], versions)
        problems = []
        for name, version in sorted(set(stated_versions(recipes))):
            # A commit without the name is older than the file's entry for it: nothing is known.
            if versions.get(name, version) != version:
                expected = f"expected version {versions[name]} of {name}, as the commit {where.commit[:12]} has it"
                problems.append(f"{expected}, got {version}")
        return CommitReport(problems, None)


def stated_versions(recipes: Recipes) -> Iterator[tuple[str, int]]:
    """Yields every stage and metric of the recipes with its version, named as the file of versions names them.

    Attacks of packages have no version of the harness.
    """
    if recipes.calibrate is not None:
        own = recipes.calibrate.levels is not None
        yield "stage calibrate on own images" if own else "stage calibrate", recipes.calibrate.version
        yield from _metrics(recipes.calibrate.metrics)
    if recipes.protect is not None:
        yield "stage protect", recipes.protect.version
    if recipes.countermeasure is not None:
        yield from _countermeasures(recipes.countermeasure)
    if recipes.personalise is not None:
        yield f"mimicry {recipes.personalise.name}", recipes.personalise.version
    generate = recipes.generate
    if isinstance(generate, EditRecipe):
        yield f"editing {generate.name}", generate.version
    elif generate.package is None:
        yield "stage generate", generate.version
    yield from _metrics(recipes.measure.metrics)


def _countermeasures(recipe: Cleaning | ChainRecipe) -> Iterator[tuple[str, int]]:
    for part in recipe.chain if isinstance(recipe, ChainRecipe) else [recipe]:
        if part.package is None:
            yield f"countermeasure {part.name}", part.version


def _metrics(versions: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    for name, version in versions.items():
        yield f"metric {name}", version


def _versions_at(commit: str) -> Versions | Unchecked:
    """Returns the versions that a commit has, or why they cannot be had."""
    if not environment.git("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}"):
        return Unchecked.NO_COMMIT
    try:
        document = json.loads(environment.git("show", f"{commit}:{VERSIONS_FILE}"))
        return {str(name): int(fields["version"]) for name, fields in document.items()}
    except (ValueError, TypeError, KeyError, AttributeError):
        return Unchecked.NO_VERSIONS
