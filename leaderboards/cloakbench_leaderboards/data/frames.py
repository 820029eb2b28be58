"""Records as pandas frames: one row an image or a generation, one row a cell; metrics in long form."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from cloakbench.schemas.record import Record, Status

NO_COUNTERMEASURE = ""
"""Stands for `None` in the column `countermeasure`: pandas would turn None into NaN, which never equals itself."""

PLACE_COLUMNS = ["key", "protection", "role", "budget", "strength", "target", "artist"]
ATTACK_COLUMNS = ["attack", "countermeasure", "mimicry", "model", "seed"]
CELL_COLUMNS = [*PLACE_COLUMNS, *ATTACK_COLUMNS, "status", "reason", "seconds"]
ROW_COLUMNS = ["cell", "metric", "index", "value"]
HALVES = ["first", "second"]
"""Means of D over the generations of even and of odd index: halves of each prompt."""


def places(records: Sequence[Record]) -> pd.DataFrame:
    """Returns one row a cell, in the order of `records`: where it stands, how it ended, seconds to protect an image.

    `target` is NaN where the suite gives the strength.
    """
    rows = [
        (
            each.key,
            each.protection.name,
            each.protection.role,
            each.protection.budget,
            each.strength,
            each.target,
            each.artist,
            each.attack.name,
            each.attack.countermeasure or NO_COUNTERMEASURE,
            each.attack.mimicry,
            each.attack.model,
            each.seed,
            _status(each),
            each.reason,
            _seconds(each),
        )
        for each in records
    ]
    frame = pd.DataFrame(rows, columns=CELL_COLUMNS)
    return frame.astype({"strength": float, "target": float, "seed": int, "seconds": float})


def generations(records: Sequence[Record]) -> pd.DataFrame:
    """Returns one row a generation and metric: number of the record, metric, index of the generation, value."""
    return _long(records, lambda record: record.generations)


def images(records: Sequence[Record]) -> pd.DataFrame:
    """Returns one row a protected image and quality metric, as `generations` does."""
    return _long(records, lambda record: record.quality)


def rows(records: Sequence[Record]) -> pd.DataFrame:
    """Returns `images` and `generations` under each other, told apart by the column `level`."""
    return pd.concat(
        [images(records).assign(level="quality"), generations(records).assign(level="generation")], ignore_index=True
    )


def cells(places: pd.DataFrame, rows: pd.DataFrame, primary: str) -> pd.DataFrame:
    """Returns `places` with `distance`, the mean of `primary` over a cell's generations, and the means of its halves.

    `rows` are those of `generations`. NaN where a cell did not end well or a half is empty.
    """
    rows = rows[rows["metric"] == primary]
    number, value = rows["cell"].to_numpy(), rows["value"].to_numpy()
    is_odd = (rows["index"].to_numpy() & 1).astype(bool)
    is_ok = (places["status"] == str(Status.OK)).to_numpy()

    def means(chosen: np.ndarray | slice) -> np.ndarray:
        count = np.bincount(number[chosen], minlength=len(places))
        total = np.bincount(number[chosen], weights=value[chosen], minlength=len(places))
        return np.where(is_ok & (count > 0), total / np.maximum(count, 1), math.nan)

    return places.assign(distance=means(slice(None)), first=means(~is_odd), second=means(is_odd))


def metrics(records: Sequence[Record]) -> pd.DataFrame:
    """Returns one row a cell and metric: means over generations, and the metrics of whole sets as they are."""
    means = generations(records).groupby(["cell", "metric"])["value"].mean().reset_index()
    sets = [(cell, name, value) for cell, each in enumerate(records) for name, value in each.sets.items()]
    whole = pd.DataFrame(sets, columns=["cell", "metric", "value"]).astype({"value": float})
    return pd.concat([means, whole], ignore_index=True)


def quality(places: pd.DataFrame, rows: pd.DataFrame, attacks: Sequence[str]) -> pd.DataFrame:
    """Returns one row per protection, strength, artist and quality metric: the mean over the artist's images.

    All attacks share the protected images, so one cell is enough: the first in the order of `attacks`, then seeds.
    """
    order = places["attack"].map({name: position for position, name in enumerate(attacks)}).fillna(len(attacks))
    measured = places.assign(order=order, cell=np.arange(len(places)))
    measured = measured[measured["cell"].isin(rows["cell"].unique())].sort_values(["order", "seed", "key"])
    address = ["protection", "strength", "artist"]
    chosen = measured.drop_duplicates(address)[[*address, "cell"]]
    means = rows[rows["cell"].isin(chosen["cell"])].groupby(["cell", "metric"], observed=True)["value"].mean()
    return chosen.merge(means.reset_index(), on="cell").drop(columns="cell")


def _long(records: Sequence[Record], block: Callable[[Record], dict[str, list[float]]]) -> pd.DataFrame:
    blocks = [
        (cell, name, values)
        for cell, each in enumerate(records)
        for name, values in block(each).items()
        if values  # an empty list has no row
    ]
    lengths = [len(values) for _, _, values in blocks]
    return pd.DataFrame(
        {
            "cell": np.repeat(np.asarray([cell for cell, _, _ in blocks], dtype=np.int64), lengths),
            "metric": np.repeat(np.asarray([name for _, name, _ in blocks], dtype=object), lengths),
            "index": np.concatenate([np.arange(length) for length in lengths] or [np.arange(0)]),
            "value": np.asarray([value for _, _, values in blocks for value in values], dtype=float),
        },
        columns=ROW_COLUMNS,
    )


def _status(record: Record) -> str:
    """Returns how a cell ended; memory that was short for an attack is no fault of the submission."""
    is_protected = "protect" in record.digests or "protect" not in record.components
    return "oom in the attack" if record.status is Status.OOM and is_protected else str(record.status)


def _seconds(record: Record) -> float:
    """Returns the wall seconds that protecting one image took, first-hand or when the stored images were made."""
    cost = record.cost.get("protect")
    images = len(next(iter(record.quality.values()), []))
    return cost.wall_s / images if cost and images else math.nan
