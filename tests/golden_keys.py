"""The keys of a few cells of every kind in the package's suites; `python -m tests.golden_keys` writes them anew.

A key is the digest of a recipe. A change of code that moves a key by accident makes committed records unreadable for
the next run, so that every change of this file has to be meant. Weights are stood in for by digests of their names, and
images by fixed patterns: training a model anew changes nothing here.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cloakbench.attacks import catalogue
from cloakbench.cells.plan import FLOOR, Cell, PlannedEntry, Planner
from cloakbench.cells.recipes import Digests
from cloakbench.datasets.artists import Artist
from cloakbench.schemas.kinds import Role
from cloakbench.schemas.record import ProtectionFacts
from cloakbench.schemas.suite import Suite
from cloakbench.suites import load as suites
from tests import tiny

COMMITTED = Path(__file__).with_name("golden_keys.json")
REFRESH = "python -m tests.golden_keys"
SUITES = ("mini", "mini-quick", "painting", "folder")
KINDS = f"""{tiny.WHOLE}
[mimicry.inpaint]
steps = 2
guidance = 2.0

[[attacks]]
name = "inpaint"
mimicry = "inpaint"
model = "mini-a"
{tiny.MATCHING}"""
"""A suite with what the package's suites lack: a chain of countermeasures, masks, a classifier."""
SHOWN = 16
"""Hexadecimal digits of a key that are kept."""


def _sha(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def _artist(name: str) -> Artist:
    """Returns an artist of small patterns, with masks."""
    pictures = tuple(np.full((8, 8, 3), 10 * number + len(name), np.uint8) for number in range(3))
    masks = tuple(picture[..., 0] for picture in pictures)
    return Artist(name, pictures, ("a painting of a boat in the style of sks",) * 3, pictures[:2], masks)


def _entry(role: Role) -> PlannedEntry:
    """Returns an entry of a role that is planned and never runs."""
    if role is Role.FLOOR:
        return PlannedEntry(FLOOR, None)
    facts = ProtectionFacts(
        name=str(role),
        version="1.0",
        distribution="golden",
        package_digest=_sha("package"),
        role=role,
        budget="linf",
        title="",
        paper="",
        licence="",
        deterministic=True,
    )
    return PlannedEntry(facts, None)


def planner(suite: Suite) -> Planner:
    """Returns the planner of a suite with digests that stand in for weights."""
    models = {alias: _sha(alias) for alias in catalogue.models(suite)}
    distance = "" if suite.perceptual == "mini-lpips" else _sha(suite.perceptual)
    digests = Digests(models, _sha("judge"), _sha("mini-lpips"), distance)
    return Planner(suite, digests, "public", [_artist("calibration")])


def cells(suite: Suite) -> Iterator[Cell]:
    """Yields a cell of each attack and of each kind of entry."""
    plan, artist, first = planner(suite), _artist("artist"), suite.attacks[0]
    submission = _entry(Role.SUBMISSION)
    for attack in suite.attacks:
        yield plan.cell(submission, suite.strengths[-1], artist, attack, 0)
    yield plan.cell(submission, suite.strengths[0], artist, first, 1)
    for target in suite.calibrated:
        yield plan.cell(submission, None, artist, suite.attacks[-1], 0, target)
    for role in (Role.FLOOR, Role.IDENTITY, Role.PLACEBO, Role.RANDOM_NOISE):
        yield plan.cell(_entry(role), role.fixed_strength or 1.0, artist, first, 0)


def current() -> dict[str, dict[str, str]]:
    """Returns the beginning of each stage's key, by suite and cell."""
    keys = {}
    for suite in [Suite.model_validate(tomllib.loads(KINDS)), *map(suites.load, SUITES)]:
        for cell in cells(suite):
            keys[f"{suite.name}: {cell.label}"] = {stage: key[:SHOWN] for stage, key in cell.keys.items()}
    return keys


def committed() -> dict[str, dict[str, str]]:
    keys: dict[str, dict[str, str]] = json.loads(COMMITTED.read_text(encoding="utf-8"))
    return keys


def main() -> None:
    COMMITTED.write_text(json.dumps(current(), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
