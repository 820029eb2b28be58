"""What an attack shows in addition to P: its damage to clean images, and how well its detector finds protected ones."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

from cloakbench.attacks.detection import true_positive_rate
from cloakbench.schemas.record import Record


class Detectability(NamedTuple):
    """How many of an entry's protected images a detector finds at 1 % false positives."""

    protection: str
    strength: float
    rate: float


def damage(records: Sequence[Record], attack: str) -> dict[str, float]:
    """Returns what a countermeasure does to clean images: the mean of each quality metric over all images."""
    values: dict[str, list[float]] = {}
    for record in records:
        if record.attack.name == attack:
            for metric, of_images in record.damage.items():
                values.setdefault(metric, []).extend(of_images)
    return {metric: fmean(of_images) for metric, of_images in values.items() if of_images}


def detectability(records: Sequence[Record], attack: str) -> list[Detectability]:
    """Returns the rate of each entry and strength that an attack's detector has scored, over all artists."""
    clean: dict[tuple[str, float], list[float]] = {}
    protected: dict[tuple[str, float], list[float]] = {}
    for record in records:
        if record.attack.name == attack and record.detection and record.protection.role.changes_images:
            point = (record.protection.name, record.strength)
            clean.setdefault(point, []).extend(record.detection["clean"])
            protected.setdefault(point, []).extend(record.detection["protected"])
    rates = []
    for point in sorted(clean):
        rates.append(Detectability(*point, true_positive_rate(clean[point], protected[point])))
    return rates
