"""Records as pandas frames: one row a cell, an image, a generation; metrics in long form."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pandas as pd

from benchmark.cells.record import Record, Status

NO_COUNTERMEASURE = ""
"""Stands for `None` in the column `countermeasure`: pandas would turn None into NaN, which never equals itself."""

PLACE_COLUMNS = ["key", "protection", "role", "strength", "artist"]
ATTACK_COLUMNS = ["attack", "countermeasure", "mimicry", "model", "seed"]
CELL_COLUMNS = [*PLACE_COLUMNS, *ATTACK_COLUMNS, "status", "reason", "distance"]
VALUE_COLUMNS = ["key", "index", "metric", "value"]
METRIC_COLUMNS = ["key", "metric", "value"]


def cells(records: Sequence[Record], primary: str) -> pd.DataFrame:
    """Returns one row a cell; `distance` is the mean of `primary` over its generations, NaN where it has none."""
    rows = [
        (
            each.key,
            each.protection.name,
            each.protection.role,
            each.strength,
            each.artist,
            each.attack.name,
            each.attack.countermeasure or NO_COUNTERMEASURE,
            each.attack.mimicry,
            each.attack.model,
            each.seed,
            str(each.status),
            each.reason,
            _mean(each.generations.get(primary, [])) if each.status is Status.OK else math.nan,
        )
        for each in records
    ]
    frame = pd.DataFrame(rows, columns=CELL_COLUMNS)
    return frame.astype({"strength": float, "seed": int, "distance": float})


def images(records: Sequence[Record]) -> pd.DataFrame:
    """Returns one row a protected image and quality metric: key of the cell, index of the image, metric, value."""
    return _long(records, lambda record: record.quality)


def generations(records: Sequence[Record]) -> pd.DataFrame:
    """Returns one row a generation and metric: key of the cell, index of the generation, metric, value."""
    return _long(records, lambda record: record.generations)


def metrics(records: Sequence[Record]) -> pd.DataFrame:
    """Returns one row a cell and metric: means over generations, and the metrics of whole sets as they are."""
    means = generations(records).groupby(["key", "metric"])["value"].mean().reset_index()
    sets = [(each.key, name, value) for each in records for name, value in each.sets.items()]
    whole = pd.DataFrame(sets, columns=METRIC_COLUMNS).astype({"value": float})
    return pd.concat([means[METRIC_COLUMNS], whole], ignore_index=True)


def quality(records: Sequence[Record], attacks: Sequence[str]) -> pd.DataFrame:
    """Returns one row per protection, strength, artist and quality metric: the mean over the artist's images.

    All attacks share the protected images, so one record is enough: the first in the order of `attacks`, then seeds.
    """
    order = {name: position for position, name in enumerate(attacks)}
    chosen: dict[tuple[str, float, str], Record] = {}
    for each in sorted(records, key=lambda each: (order.get(each.attack.name, len(order)), each.seed, each.key)):
        if each.quality:
            chosen.setdefault((each.protection.name, each.strength, each.artist), each)
    address = pd.DataFrame(
        [(each.key, *cell) for cell, each in chosen.items()], columns=["key", "protection", "strength", "artist"]
    )
    means = images(list(chosen.values())).groupby(["key", "metric"])["value"].mean().reset_index()
    return address.merge(means, on="key").drop(columns="key")


def _long(records: Sequence[Record], block: Callable[[Record], dict[str, list[float]]]) -> pd.DataFrame:
    rows = [
        (each.key, index, name, value)
        for each in records
        for name, values in block(each).items()
        for index, value in enumerate(values)
    ]
    return pd.DataFrame(rows, columns=VALUE_COLUMNS).astype({"value": float})


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan
