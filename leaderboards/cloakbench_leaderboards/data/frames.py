"""Records as pandas frames: one row per image or generation, one row per cell; metrics in long form."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from enum import StrEnum

import numpy as np
import pandas as pd

from cloakbench.schemas.kinds import Status
from cloakbench.schemas.record import Record

NO_COUNTERMEASURE = ""
"""Stands for `None` in the column `countermeasure`: pandas would turn None into NaN, which never equals itself."""

PLACE_COLUMNS = ["key", "protection", "role", "budget", "strength", "target", "artist"]
ATTACK_COLUMNS = ["attack", "countermeasure", "mimicry", "model", "seed"]
CELL_COLUMNS = [*PLACE_COLUMNS, *ATTACK_COLUMNS, "status", "reason", "seconds"]
ROW_COLUMNS = ["cell", "metric", "index", "value"]


class CellStatus(StrEnum):
    """How a cell of a board ended: the status of its record, `absent`, or memory that an attack lacked."""

    OK = "ok"
    SKIPPED = "skipped"
    INVALID_OUTPUT = "invalid_output"
    FAILED = "failed"
    TIMEOUT = "timeout"
    OOM = "oom"
    NO_SIGNAL = "no_signal"
    INFRA_ERROR = "infra_error"
    ATTACK_OOM = "oom in the attack"
    """Memory was short after the images had been protected: not the submission's fault."""
    ABSENT = "absent"
    """Planned, but without a record."""


def cell_status(record: Record) -> CellStatus:
    """Returns how a cell ended; memory that an attack lacked does not count against the submission."""
    if record.status is Status.OOM and ("protect" in record.digests or _needs_no_protection(record)):
        return CellStatus.ATTACK_OOM
    return CellStatus(str(record.status))


def _needs_no_protection(record: Record) -> bool:
    recipes = record.recipes
    return recipes is not None and recipes.protect is None


def places(records: Sequence[Record]) -> pd.DataFrame:
    """Returns one row per cell, in the order of `records`: its address, how it ended, seconds per protected image.

    `target` is NaN where the suite gives the strength.
    """
    frame = pd.DataFrame([_cell_row(record) for record in records], columns=CELL_COLUMNS)
    return frame.astype({"strength": float, "target": float, "seed": int, "seconds": float})


def generations(records: Sequence[Record]) -> pd.DataFrame:
    """Returns one row per generation and metric: number of the record, metric, index of the generation, value."""
    return _long(record.generations for record in records)


def images(records: Sequence[Record]) -> pd.DataFrame:
    """Returns one row per protected image and quality metric, in the columns of `generations`."""
    return _long(record.quality for record in records)


def rows(records: Sequence[Record]) -> pd.DataFrame:
    """Returns the rows of `images`, then those of `generations`; the column `level` tells which."""
    quality = images(records).assign(level="quality")
    return pd.concat([quality, generations(records).assign(level="generation")], ignore_index=True)


def cells(places: pd.DataFrame, rows: pd.DataFrame, primary: str) -> pd.DataFrame:
    """Returns `places` with `distance`, the mean of `primary` over a cell's generations.

    Args:
        places: What `places` returns.
        rows: What `generations` or `rows` returns for the same records.
        primary: The suite's primary distance.

    Returns:
        One row per cell. The mean is NaN where a cell did not end well.
    """
    rows = rows[rows["metric"] == primary]
    number, value = rows["cell"].to_numpy(), rows["value"].to_numpy()
    is_ok = (places["status"] == str(CellStatus.OK)).to_numpy()
    count = np.bincount(number, minlength=len(places))
    total = np.bincount(number, weights=value, minlength=len(places))
    return places.assign(distance=np.where(is_ok & (count > 0), total / np.maximum(count, 1), math.nan))


def metrics(records: Sequence[Record]) -> pd.DataFrame:
    """Returns one row per cell and metric: means over generations, and the metrics of whole sets as they are."""
    means = generations(records).groupby(["cell", "metric"])["value"].mean().reset_index()
    sets: list[tuple[int, str, float]] = []
    for cell, record in enumerate(records):
        sets.extend((cell, name, value) for name, value in record.sets.items())
    whole = pd.DataFrame(sets, columns=["cell", "metric", "value"]).astype({"value": float})
    return pd.concat([means, whole], ignore_index=True)


def quality(places: pd.DataFrame, rows: pd.DataFrame, attacks: Sequence[str]) -> pd.DataFrame:
    """Returns one row per protection, strength, artist and quality metric: the mean over the artist's images.

    All attacks share the protected images, so one cell is enough: the first in the order of `attacks`, then of seeds.
    """
    positions = pd.Series(range(len(attacks)), index=list(attacks), dtype=int)
    order = places["attack"].map(positions).fillna(len(attacks))
    measured = places.assign(order=order, cell=np.arange(len(places)))
    measured = measured[measured["cell"].isin(rows["cell"].unique())].sort_values(["order", "seed", "key"])
    address = ["protection", "strength", "artist"]
    chosen = measured.drop_duplicates(address)[[*address, "cell"]]
    means = rows[rows["cell"].isin(chosen["cell"])].groupby(["cell", "metric"], observed=True)["value"].mean()
    return chosen.merge(means.reset_index(), on="cell").drop(columns="cell")


def _cell_row(record: Record) -> tuple[object, ...]:
    protection, attack = record.protection, record.attack
    return (
        record.key,
        protection.name,
        str(protection.role),
        str(protection.budget),
        record.strength,
        record.target,
        record.artist,
        attack.name,
        attack.countermeasure or NO_COUNTERMEASURE,
        attack.mimicry,
        attack.model,
        record.seed,
        str(cell_status(record)),
        record.reason,
        _seconds(record),
    )


def _long(blocks: Iterator[dict[str, list[float]]]) -> pd.DataFrame:
    numbers: list[int] = []
    names: list[str] = []
    lengths: list[int] = []
    values: list[float] = []
    for cell, block in enumerate(blocks):
        for name, measured in block.items():
            numbers.append(cell)
            names.append(name)
            lengths.append(len(measured))
            values.extend(measured)
    ends = np.cumsum(lengths, dtype=np.int64)
    starts = np.repeat(ends - np.asarray(lengths, dtype=np.int64), lengths)
    return pd.DataFrame(
        {
            "cell": np.repeat(np.asarray(numbers, dtype=np.int64), lengths),
            "metric": np.repeat(np.asarray(names, dtype=object), lengths),
            "index": np.arange(len(values), dtype=np.int64) - starts,
            "value": np.asarray(values, dtype=float),
        },
        columns=ROW_COLUMNS,
    )


def _seconds(record: Record) -> float:
    """Returns the processor or device seconds of protecting one image, with those of the submission's own process.

    The same where the images came out of the store.
    """
    cost = record.cost.get("protect")
    images = len(next(iter(record.quality.values()), []))
    return cost.device_s / images if cost and images else math.nan
