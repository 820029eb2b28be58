"""Which design of the run of `mini` 4 fits its ceiling, and what difference of P it resolves.

    python -m tests.benchmarks.designs

Spreads over artists and the seconds of protecting are those of the committed records of version 3. What a cell costs is
given, because models and recipes change: 10 to 15 processor seconds.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np

from cloakbench.schemas.kinds import Role
from cloakbench.schemas.record import Record
from cloakbench.store.reading import load
from cloakbench_leaderboards.scores import aggregates, resolution
from cloakbench_leaderboards.scores.evidence import gather
from cloakbench_leaderboards.scores.statistics import Array

RECORDS = Path(__file__).parents[2] / "leaderboards" / "reference" / "mini-3"
CEILING_H = 20.0
CELL_S = (10.0, 12.5, 15.0)
SEED_SHARE = 0.15
"""Share of a pair's variance over artists that is the seed's, with one seed: the median in `mini-meaning`."""
SEARCH = 2.3
"""What a search costs, in runs over all images: four tries on two of eight images, 1.3 runs of the fractional step."""
CONTROL_SEEDS = 3
FAMILY = ("impress",)
"""Countermeasures that take seconds of their own."""
NEW_ENTRIES = {"pid": "mist", "anti-dreambooth[method=fsmg]": "anti-dreambooth", "impasto over mist": "impasto"}
"""Entries without records, and the entry whose seconds stand in for theirs."""


class Design(NamedTuple):
    """What is run."""

    artists: int
    seeds: int
    attacks: int
    """At the calibrated strength, the headline's among them."""
    curve: int
    """Strengths beside the calibrated one, against the headline's attack alone."""
    is_complete: bool = True
    """Whether the two dearest entries are among them."""


class Basis(NamedTuple):
    """What the records say."""

    protect: dict[str, float]
    """Processor seconds of protecting one artist once, by entry."""
    clean: float
    """Processor seconds of the countermeasures of one artist and entry."""
    spreads: Array
    """Standard deviation over artists of the difference of each pair of entries, at one seed."""


DESIGNS = (
    Design(16, 1, 5, 3),
    Design(16, 1, 5, 1),
    Design(16, 1, 3, 1),
    Design(16, 1, 5, 1, is_complete=False),
    Design(16, 1, 5, 0),
    Design(12, 1, 5, 3),
    Design(12, 1, 5, 1),
    Design(12, 2, 5, 1),
    Design(12, 1, 3, 1),
    Design(8, 1, 5, 1),
    Design(8, 2, 5, 1),
)


def basis() -> Basis:
    """Returns seconds and spreads of the committed records."""
    loaded = load(RECORDS)
    seconds, cleaning = _seconds(loaded.records)
    for entry, model in NEW_ENTRIES.items():
        seconds[entry] = seconds[model]
    evidence = gather(loaded)
    setting, values = evidence.setting, []
    for entry in evidence.submissions:
        values.append(aggregates.protection(setting, entry.subject, setting.attack.name, setting.middle).artists)
    spreads = []
    for first, second in itertools.combinations(values, 2):
        spread = float(np.nanstd(first - second, ddof=1)) if np.isfinite(first - second).sum() > 1 else np.nan
        spreads.append(spread)
    return Basis(seconds, cleaning, np.asarray(spreads)[np.isfinite(spreads)])


def hours(design: Design, measured: Basis, cell_s: float) -> tuple[float, float]:
    """Returns processor hours of protecting, and of all cells with those of controls."""
    entries = sorted(measured.protect, key=lambda name: measured.protect[name])
    entries = entries if design.is_complete else entries[:-2]
    protecting = sum(measured.protect[name] for name in entries) * (SEARCH + design.curve)
    own = len(entries) * (design.attacks + design.curve) * design.seeds
    # Unprotected images and placebo under each attack, random noise as an entry; the floor only draws.
    controls = 2 * CONTROL_SEEDS * design.attacks + (design.attacks + design.curve) * design.seeds
    cleaning = measured.clean * (len(entries) + 3)
    return design.artists * protecting / 3600, design.artists * ((own + controls) * cell_s + cleaning) / 3600


def least_differences(design: Design, measured: Basis) -> Array:
    """Returns for each pair of entries the least difference of P that the design shows with 80 % power."""
    share = 1 - SEED_SHARE + SEED_SHARE / design.seeds
    spreads = measured.spreads * np.sqrt(share)
    return np.asarray([resolution.detectable(float(spread), design.artists) for spread in spreads])


def _seconds(records: list[Record]) -> tuple[dict[str, float], float]:
    """Returns the median processor seconds of protecting one artist, by submission, and of the countermeasures."""
    protecting: dict[str, list[float]] = defaultdict(list)
    cleaning: dict[str, list[float]] = defaultdict(list)
    for record in records:
        if record.protection.role is Role.SUBMISSION and "protect" in record.cost and not record.cost["protect"].cached:
            cost = record.cost["protect"]
            # The seconds of PhotoGuard's own process are not in its processor seconds; it runs on one thread.
            protecting[record.protection.name].append(
                cost.device_s if cost.device_s > cost.wall_s / 10 else cost.wall_s
            )
        if record.attack.countermeasure in FAMILY and "countermeasure" in record.cost:
            cost = record.cost["countermeasure"]
            if not cost.cached:
                cleaning[str(record.attack.countermeasure)].append(cost.device_s)
    seconds = {name: median(values) for name, values in protecting.items()}
    return seconds, sum(median(values) for values in cleaning.values())


def main() -> None:
    """Prints the table of designs."""
    measured = basis()
    entries = len(measured.protect)
    print(f"{entries} entries, {sum(measured.protect.values()):.0f} s to protect one artist by all of them once")
    print("| artists x seeds | attacks | curve | entries | least difference | protecting, h | all, h |")
    print("|---|---:|---:|---:|---:|---:|---|")
    for design in DESIGNS:
        least = float(np.median(least_differences(design, measured)))
        totals = [sum(hours(design, measured, cell_s)) for cell_s in CELL_S]
        count = entries if design.is_complete else entries - 2
        shown = ", ".join(f"{total:.1f}" for total in totals)
        row = f"{design.artists} x {design.seeds} | {design.attacks} | {design.curve} | {count} | {least:.3f}"
        print(f"| {row} | {hours(design, measured, 10.0)[0]:.1f} | {shown} |")


if __name__ == "__main__":
    main()
