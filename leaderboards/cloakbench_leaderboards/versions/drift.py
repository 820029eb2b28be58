"""Drift: what a control cell gives when it runs again in one environment class, beside what it gave first."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cloakbench.schemas.record import Environment, Record, Status


@dataclass(frozen=True, slots=True)
class Drift:
    """One cell that ran again under its key and environment class."""

    key: str
    env_class: str
    protection: str
    artist: str
    attack: str
    first: str
    """When the record was made that counts."""
    again: str
    """When the cell ran again."""
    stages: tuple[str, ...]
    """Stages whose images are not the same, in the order of the record."""
    distance: float
    """By how much the mean of the suite's primary distance moved; NaN where one of the two has none."""
    metric: str
    """The metric with the largest change of one value, as a share of that value's size; empty where all are equal."""
    most: float
    """That change, in the metric's unit."""
    environment: tuple[str, ...]
    """What differs in the environment though the class is the same, as `name: before → after`."""

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
    pairs = ((originals.get((c.key, c.environment.env_class)), c) for c in sorted(canaries, key=_when))
    return [_drift(original, again, primary) for original, again in pairs if original is not None]


def sentence(found: Drift) -> str:
    """Returns what moved, in words.

    Example:
        >>> sentence(Drift("k", "c", "identity", "a", "jpeg", "", "", ("generate",), 0.01, "kid", 0.2, ()))
        'identity a jpeg: other images in generate; mean distance +0.01, kid by up to 0.2'
    """
    cell = f"{found.protection} {found.artist} {found.attack}"
    around = f" ({', '.join(found.environment)})" if found.environment else ""
    if found.is_same:
        return f"{cell}: the same images and values{around}"
    images = f"other images in {', '.join(found.stages)}" if found.stages else "the same images"
    values = f"mean distance {found.distance:+.3g}, {found.metric} by up to {found.most:.3g}"
    return f"{cell}: {images}; {values if found.metric else 'the same values'}{around}"


def _when(record: Record) -> tuple[str, str]:
    return (record.created, record.key)


def _drift(original: Record, again: Record, primary: str) -> Drift:
    stages = sorted({*original.digests, *again.digests}, key=[*original.digests, *again.digests].index)
    before, after = (_mean(record.generations.get(primary, [])) for record in (original, again))
    metric, most = max(_changes(original, again), key=lambda change: change[2], default=("", 0.0, 0.0))[:2]
    return Drift(
        key=original.key,
        env_class=original.environment.env_class,
        protection=original.protection.name,
        artist=original.artist,
        attack=original.attack.name,
        first=original.created,
        again=again.created,
        stages=tuple(name for name in stages if original.digests.get(name) != again.digests.get(name)),
        distance=after - before,
        metric=metric,
        most=most,
        environment=tuple(
            f"{name}: {old} → {new}" for name, old, new in differences(original.environment, again.environment)
        ),
    )


def differences(before: Environment, after: Environment) -> Iterator[tuple[str, str, str]]:
    """Yields name, before and after of what differs in an environment, but for the commit: keys speak for the code."""
    for name in ("device", "threads", "libjpeg"):
        if (old := getattr(before, name)) != (new := getattr(after, name)):
            yield name, str(old), str(new)
    for name in sorted({*before.packages, *after.packages}):
        if (old := before.packages.get(name)) != (new := after.packages.get(name)):
            yield name, old or "absent", new or "absent"


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
            worst = max(range(len(old)), key=lambda place: abs(new[place] - old[place]))
            most = abs(new[worst] - old[worst])
            yield name, most, most / max(abs(old[worst]), 1e-12)


def _values(record: Record) -> tuple[Mapping[str, list[float]], Mapping[str, list[float]], Mapping[str, list[float]]]:
    return record.quality, record.generations, {name: [value] for name, value in record.sets.items()}


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan
