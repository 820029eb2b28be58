"""The gold run: conditions that the controls have to meet before a board may call itself official."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from cloakbench.schemas.suite import AttackSpec, Suite
from cloakbench_leaderboards import text
from cloakbench_leaderboards.scores import statistics
from cloakbench_leaderboards.scores.evidence import Evidence
from cloakbench_leaderboards.scores.signal import ARM, Signal
from cloakbench_leaderboards.scores.statistics import LEVEL, MIN_ARTISTS, Array

LEAST_SHARE = 2 / 3
"""Share of artists that an attack has to learn from."""
FAMILY_ERROR = 1 - LEVEL
"""Chance that a sound run fails a condition that is tested several times, over all its tests (Bonferroni)."""
REPEATED = ("identity", "placebo", "floor")


class GoldCondition(NamedTuple):
    """One condition and its verdict."""

    name: str
    holds: bool
    words: str
    """What was found, in a sentence."""


def has_gold_run(suite: Suite) -> bool:
    """Whether a suite's boards have to meet the conditions: demonstrations and folders of one's own images need not."""
    return not suite.demonstration and suite.dataset != "folder"


def checks(evidence: Evidence) -> list[GoldCondition]:
    """Returns all conditions with their verdicts."""
    return [
        _controls(evidence),
        _placebo(evidence),
        _floor(evidence),
        _random_noise(evidence),
        _competence(evidence.scores.signals, len(evidence.artists)),
    ]


def _controls(evidence: Evidence) -> GoldCondition:
    """The cells of identity, placebo and floor that the suite asks for are all there."""
    name = "Controls complete"
    cells = evidence.levels.cells
    found: set[tuple[object, ...]] = set()
    for columns, arm in ((["attack"], cells["role"] != "floor"), (list(ARM), cells["role"] == "floor")):
        there = cells.loc[arm & cells["distance"].notna(), ["role", *columns, "artist", "seed"]]
        found |= set(there.itertuples(index=False, name=None))
    plain = [(attack.name,) for attack in evidence.ranked]
    absent = [
        f"{role} against {' on '.join(place)}"
        for role in REPEATED
        for place in (_arms(evidence.ranked) if role == "floor" else plain)
        for artist in evidence.artists
        for seed in range(evidence.suite.seeds.controls)
        if (role, *place, artist, seed) not in found
    ]
    if not absent:
        return GoldCondition(
            name, True, f"Identity, placebo and floor are there at all {evidence.suite.seeds.controls} seeds."
        )
    where = text.listed(list(dict.fromkeys(absent)))
    return GoldCondition(name, False, f"Cells of the controls are missing, {len(absent)} in all: {where}.")


def _placebo(evidence: Evidence) -> GoldCondition:
    """The interval of the placebo's effect holds 0 under every attack."""
    name = "Placebo protects nobody"
    grid = evidence.scores.grid
    entries = [entry.name for entry in evidence.entries if entry.facts.role == "placebo"]
    rows = {a: row for (entry, _, a), row in grid.rows.items() if entry in entries and a in grid.learned}
    if not rows:
        return GoldCondition(name, False, "There is no placebo, or no attack learned.")
    places = list(rows.values())
    weights = grid.denominator[places]
    outside = _outside(statistics.contributions(grid.effect[places] * weights, weights))
    failed = [attack for attack, is_out in zip(rows, outside, strict=True) if is_out]
    if failed:
        return GoldCondition(name, False, f"Its effect is not within noise of 0 against {text.listed(failed)}.")
    return GoldCondition(name, True, f"Its effect is within noise of 0 against {len(rows)} attacks.")


def _floor(evidence: Evidence) -> GoldCondition:
    """The floor drawn with one seed is within noise of 1 on the scale of its other seeds."""
    name = "Floor drawn again"
    cells = evidence.levels.cells
    drawn = cells[(cells["role"] == "floor") & cells["distance"].notna()]
    known = pd.DataFrame(
        [each[:4] for each in evidence.scores.signals if not each.reason], columns=["artist", *ARM, "denominator"]
    )
    drawn = drawn.merge(known, on=["artist", *ARM]).drop_duplicates(["artist", *ARM, "seed"])
    table = drawn.pivot_table(index=[*ARM, "seed"], columns="artist", values=["distance", "denominator"])
    draws, alone = [], []
    for arm, group in table.groupby(level=ARM) if len(table) else []:
        distance, weight = (group[column].to_numpy(dtype=float) for column in ("distance", "denominator"))
        if len(group) < 2:
            alone.append(" on ".join(map(str, arm)))
            continue
        others = (distance.sum(0) - distance) / (len(distance) - 1)
        draws.append(statistics.contributions(distance - others, weight))
    if not draws and not alone:
        return GoldCondition(name, False, "There is no floor, or no attack learned.")
    if alone:
        return GoldCondition(name, False, f"It was drawn once only for {text.listed(alone)}.")
    values = np.concatenate(_same_width(draws))
    if _outside(values).any():
        return GoldCondition(
            name, False, f"{int(_outside(values).sum())} of {len(values)} draws are not within noise of 1."
        )
    return GoldCondition(name, True, f"All {len(values)} draws are within noise of 1.")


def _random_noise(evidence: Evidence) -> GoldCondition:
    """P of random noise at full strength lies in the band that the suite records."""
    name = "Random noise in its band"
    band = evidence.suite.random_noise_band
    if band is None:
        return GoldCondition(name, False, "The suite records no band for it.")
    entries = [entry.name for entry in evidence.entries if entry.facts.role == "random-noise"]
    strength = max(evidence.suite.strengths)
    point = next((evidence.scores.summary.get((each, strength, evidence.rank_attack)) for each in entries), None)
    if point is None or point.reason:
        return GoldCondition(
            name, False, f"It was not measured against {evidence.rank_attack} at strength {strength:g}."
        )
    low, high = band
    told = f"P is {text.number(point.p.value)} at strength {strength:g}, the band {low:g} to {high:g}."
    return GoldCondition(name, low <= point.p.value <= high, told)


def _competence(signals: Sequence[Signal], artists: int) -> GoldCondition:
    """Every mimicry learns, on its base model, from two thirds of the artists and from six at least."""
    name = "Attacks learn"
    learned: dict[tuple[str, str], int] = {}
    for each in signals:
        learned[each.mimicry, each.model] = learned.get((each.mimicry, each.model), 0) + (not each.reason)
    least = max(MIN_ARTISTS, LEAST_SHARE * artists)
    weak = [f"{mimicry} on {model} ({n})" for (mimicry, model), n in learned.items() if n < least]
    if weak:
        return GoldCondition(name, False, f"Too few of {artists} artists were learned from by {text.listed(weak)}.")
    return GoldCondition(name, True, f"Each learned from at least {min(learned.values())} of {artists} artists.")


def _arms(attacks: Sequence[AttackSpec]) -> list[tuple[str, str]]:
    return list(dict.fromkeys((attack.mimicry, attack.model) for attack in attacks))


def _outside(values: Array) -> np.ndarray:
    """Returns whether 0 is outside of each row's interval; a row without one counts as outside."""
    found = statistics.estimates(values, 1 - FAMILY_ERROR / max(len(values), 1))
    return ~((found.low <= 0) & (found.high >= 0))


def _same_width(blocks: Sequence[Array]) -> list[Array]:
    width = max(block.shape[1] for block in blocks)
    return [np.pad(block, ((0, 0), (0, width - block.shape[1])), constant_values=np.nan) for block in blocks]
