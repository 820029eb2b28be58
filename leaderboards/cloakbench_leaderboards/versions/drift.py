"""Drift: the difference between two runs of one control cell in one environment class."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cloakbench.schemas.kinds import Status
from cloakbench.schemas.record import Environment, Record


class EnvironmentDifference(NamedTuple):
    """One field of two environments that differs."""

    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Drift:
    """One cell that ran again under its key and environment class."""

    key: str
    env_class: str
    protection: str
    artist: str
    attack: str
    first: str
    """Time of the record that counts."""
    again: str
    """Time of the repetition."""
    stages: tuple[str, ...]
    """Stages whose images are not the same, in the order of the record."""
    distance: float
    """By how much the mean of the suite's primary distance moved; NaN where one of the two has none."""
    metric: str
    """The metric with the largest change of one value, as a share of that value's size; empty where all are equal."""
    most: float
    """That change, in the metric's unit."""
    environment: tuple[EnvironmentDifference, ...]
    """What differs in the environment though the class is the same."""

    @property
    def is_same(self) -> bool:
        """Whether every image and every value came out the same."""
        return not self.stages and not self.metric


def drift(records: Sequence[Record], canaries: Sequence[Record], primary: str) -> list[Drift]:
    """Returns for each canary what moved since the record of its key and class; those without one are left out.

    The order of either list does not matter. Where several records share key and class, the oldest is the original.
    """
    originals: dict[tuple[str, str], Record] = {}
    for record in sorted(records, key=_when, reverse=True):
        if record.status is Status.OK:
            originals[record.key, record.environment.env_class] = record
    drifts = []
    for canary in sorted(canaries, key=_when):
        original = originals.get((canary.key, canary.environment.env_class))
        if original is not None:
            drifts.append(_drift(original, canary, primary))
    return drifts


def sentence(drift: Drift) -> str:
    """Returns what moved, in words.

    Example:
        >>> sentence(Drift("k", "c", "identity", "a", "jpeg", "", "", ("generate",), 0.01, "kid", 0.2, ()))
        'identity a jpeg: other images in generate; mean distance +0.01, kid by up to 0.2'
    """
    cell = f"{drift.protection} {drift.artist} {drift.attack}"
    differences = []
    for name, before, after in drift.environment:
        differences.append(f"{name}: {before} → {after}")
    around = f" ({', '.join(differences)})" if differences else ""
    if drift.is_same:
        return f"{cell}: the same images and values{around}"
    images = f"other images in {', '.join(drift.stages)}" if drift.stages else "the same images"
    values = f"mean distance {drift.distance:+.3g}, {drift.metric} by up to {drift.most:.3g}"
    return f"{cell}: {images}; {values if drift.metric else 'the same values'}{around}"


def _when(record: Record) -> tuple[str, str]:
    return (record.created, record.key)


def _drift(original: Record, again: Record, primary: str) -> Drift:
    stages = []
    for stage in _stages(original, again):
        if original.digests.get(stage) != again.digests.get(stage):
            stages.append(stage)
    before, after = _mean(original.generations.get(primary, [])), _mean(again.generations.get(primary, []))
    metric, most = max(_changes(original, again), key=lambda change: change[2], default=("", 0.0, 0.0))[:2]
    return Drift(
        key=original.key,
        env_class=original.environment.env_class,
        protection=original.protection.name,
        artist=original.artist,
        attack=original.attack.name,
        first=original.created,
        again=again.created,
        stages=tuple(stages),
        distance=after - before,
        metric=metric,
        most=most,
        environment=tuple(differences(original.environment, again.environment)),
    )


def _stages(original: Record, again: Record) -> list[str]:
    """Returns the stages of both records, those of the original first."""
    return list(dict.fromkeys([*original.digests, *again.digests]))


def differences(before: Environment, after: Environment) -> Iterator[EnvironmentDifference]:
    """Yields what differs in an environment, but for the commit: keys account for the code."""
    for name in ("device", "threads", "libjpeg"):
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            yield EnvironmentDifference(name, str(old), str(new))
    for name in sorted({*before.packages, *after.packages}):
        installed, now = before.packages.get(name, "absent"), after.packages.get(name, "absent")
        if installed != now:
            yield EnvironmentDifference(name, installed or "absent", now or "absent")


def _changes(original: Record, again: Record) -> Iterator[tuple[str, float, float]]:
    """Yields metric, largest change and its share of the value, of every metric with a value that is not the same."""
    for before, after in zip(_values(original), _values(again), strict=True):
        for name in sorted({*before, *after}):
            old, new = before.get(name, []), after.get(name, [])
            if old == new:
                continue
            if len(old) != len(new):
                yield name, math.inf, math.inf
                continue
            changes = []
            for base, value in zip(old, new, strict=True):
                changes.append(abs(value - base))
            most = max(changes)
            yield name, most, most / max(abs(old[changes.index(most)]), 1e-12)


def _values(record: Record) -> tuple[Mapping[str, list[float]], Mapping[str, list[float]], Mapping[str, list[float]]]:
    sets = {name: [value] for name, value in record.sets.items()}
    return record.quality, record.generations, sets


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan
