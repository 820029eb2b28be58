"""The pairs of a survey: the same prompt and seed, once after clean images and once after protected ones.

The protocol is that of Hönig et al. 2024 (arXiv 2406.12027): a viewer sees images of the artist and two imitations, and
says which is more like the artist and which is the better picture.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from cloakbench.schemas.kinds import Role, Status
from cloakbench.schemas.record import Record
from cloakbench.store.paths import GALLERY, StorePaths
from cloakbench_leaderboards.parts.lookup import Lookup
from cloakbench_leaderboards.parts.pictures import stage_address

Kind = Literal["protection", "floor", "placebo"]
"""What the second picture comes from. The floor never saw the artist, and the placebo's images are as good as clean."""


@dataclass(frozen=True, slots=True)
class Sides:
    """Two strips of generations, of the same prompts and seeds, and the tile of each that is shown."""

    clean: Path
    other: Path
    tile: int


@dataclass(frozen=True, slots=True)
class SurveyPair:
    """One question of the survey.

    Attributes:
        name: Of the pair, without a hint at what it shows.
        kind: What the second picture comes from.
        protection: The entry.
        artist: Whose style is imitated.
        clean_first: Whether picture A is the imitation of clean images.
        clean_distance: Distance of the clean imitations to the artist, the mean over the cell.
        distance: The same of the other imitations.
        sides: The pictures.
    """

    name: str
    kind: Kind
    protection: str
    artist: str
    clean_first: bool
    clean_distance: float
    distance: float
    sides: Sides


def pairs(lookup: Lookup, store: StorePaths, most: int, seed: int = 0) -> list[SurveyPair]:
    """Returns at most `most` pairs, spread over entries and artists, in an order drawn from `seed`.

    The attack is the first one without a countermeasure, the strength each entry's greatest, the seed the first. Pairs
    whose generations are not in the store are left out.
    """
    rng = np.random.default_rng(seed)
    attack = next(spec.name for spec in lookup.attacks if spec.countermeasure is None)
    by_entry = [list(_of_entry(lookup, store, name, attack, rng)) for name in _names(lookup)]
    by_entry.append(list(_of_floor(lookup, store, attack, rng)))
    for group in by_entry:
        rng.shuffle(group)
    chosen = _round_robin(by_entry, most)
    rng.shuffle(chosen)
    return chosen


def _names(lookup: Lookup) -> list[str]:
    """Returns the entries that a survey compares with clean images: protections, random noise and the placebo."""
    return [entry.name for entry in lookup.entries if entry.facts.role is not Role.IDENTITY]


def _round_robin(groups: Sequence[list[SurveyPair]], most: int) -> list[SurveyPair]:
    """Returns up to `most` pairs, one of each group in turn, so that all groups have as many as they can."""
    chosen: list[SurveyPair] = []
    for turn in itertools.zip_longest(*groups):
        chosen += filter(None, turn)
    return chosen[:most]


def _of_entry(
    lookup: Lookup, store: StorePaths, protection: str, attack: str, rng: np.random.Generator
) -> Iterator[SurveyPair]:
    strongest: dict[str, Record] = {}
    for record in lookup.records.get((protection, attack), []):
        if record.artist not in strongest or record.strength > strongest[record.artist].strength:
            strongest[record.artist] = record
    for record in strongest.values():
        kind: Kind = "placebo" if record.protection.role is Role.PLACEBO else "protection"
        yield from _pair(lookup, store, record, lookup.clean.get((record.artist, attack)), kind, rng)


def _of_floor(lookup: Lookup, store: StorePaths, attack: str, rng: np.random.Generator) -> Iterator[SurveyPair]:
    for (artist, name), clean in lookup.clean.items():
        floor = lookup.floor.get((artist, clean.attack.mimicry, clean.attack.model))
        if name == attack and floor is not None:
            yield from _pair(lookup, store, floor, clean, "floor", rng)


def _pair(
    lookup: Lookup, store: StorePaths, record: Record, clean: Record | None, kind: Kind, rng: np.random.Generator
) -> Iterator[SurveyPair]:
    tile, clean_first = int(rng.integers(GALLERY)), bool(rng.random() < 0.5)
    if clean is None or record.status is not Status.OK or clean.status is not Status.OK:
        return
    first, second = _strip(store, clean), _strip(store, record)
    if first is None or second is None:
        return
    primary = lookup.evidence.suite.metrics.primary
    clean_distance, distance = (float(np.mean(side.generations[primary])) for side in (clean, record))
    name = hashlib.sha256(f"{record.key} {clean.key} {tile}".encode()).hexdigest()[:16]
    sides = Sides(first, second, tile)
    yield SurveyPair(name, kind, record.protection.name, clean.artist, clean_first, clean_distance, distance, sides)


def _strip(store: StorePaths, record: Record) -> Path | None:
    address = stage_address(record, "generate")
    path = store.gallery_path(*address) if address else None
    return path if path is not None and store.holds(path) else None
