"""What there was to protect: the denominator of every score, and the gate that refuses to divide by noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from cloakbench.schemas.suite import AttackSpec
from cloakbench_leaderboards.data.frames import HALVES, NO_COUNTERMEASURE
from cloakbench_leaderboards.scores import statistics

ARM = ["mimicry", "model"]
PAIR = ["artist", "mimicry", "model", "seed"]


class Signal(NamedTuple):
    """How much one mimicry on one base model learns from one artist's clean images."""

    artist: str
    mimicry: str
    model: str
    denominator: float
    """D_floor - D_clean, mean over the seeds that both arms have; NaN where an arm is absent."""
    lower: float
    noise: float
    """Placebo noise of the mimicry and model."""
    reason: str
    """Why nothing is scored against it; empty where something is."""


def clean(cells: pd.DataFrame, attacks: Sequence[AttackSpec]) -> pd.DataFrame:
    """Returns the clean arm without countermeasure: artist, mimicry, model, seed, `clean` and its halves."""
    names = {"distance": "clean", **{half: f"clean_{half}" for half in HALVES}}
    return _plain_arm(cells, "identity", attacks).rename(columns=names)


def signals(cells: pd.DataFrame, attacks: Sequence[AttackSpec], artists: Sequence[str]) -> list[Signal]:
    """Returns one signal per artist, mimicry and base model of the suite."""
    arm = clean(cells, attacks)
    floor = cells[(cells["role"] == "floor") & cells["distance"].notna()]
    floor = floor.drop_duplicates(PAIR)[[*PAIR, "distance"]]
    differences = floor.merge(arm, on=PAIR)
    differences["difference"] = differences["distance"] - differences["clean"]
    by_arm = {key: group["difference"].tolist() for key, group in differences.groupby(["artist", *ARM])}
    placebo = _placebo_noise(cells, arm, attacks)
    pairs = list(dict.fromkeys((attack.mimicry, attack.model) for attack in attacks))
    plain = {(attack.mimicry, attack.model) for attack in attacks if attack.countermeasure is None}
    found = []
    for mimicry, model in pairs:
        has_plain = (mimicry, model) in plain
        for artist in artists:
            values = by_arm.get((artist, mimicry, model), []) if has_plain else []
            found.append(_signal((artist, mimicry, model), values, placebo.get((mimicry, model), math.nan), has_plain))
    return found


def _signal(place: tuple[str, str, str], differences: list[float], noise: float, has_plain: bool) -> Signal:
    artist, mimicry, model = place
    if not has_plain:
        reason = f"the suite has no attack without countermeasure for {mimicry} on {model}, so nothing to compare with"
        return Signal(artist, mimicry, model, math.nan, math.nan, noise, reason)
    if not differences:
        return Signal(artist, mimicry, model, math.nan, math.nan, noise, "no seed that both clean and floor have")
    value, lower = math.fsum(differences) / len(differences), statistics.lower_limit(differences)
    reason = ""
    if math.isnan(noise):
        reason = "no placebo to measure the noise with"
    elif lower <= 0 or lower < statistics.SIGNAL_RATIO * noise:
        reason = (
            f"the attack did not learn: floor minus clean is at least {lower:.3g}, "
            f"under {statistics.SIGNAL_RATIO:g} times the placebo noise of {noise:.3g}"
        )
    return Signal(artist, mimicry, model, value, lower, noise, reason)


def _placebo_noise(
    cells: pd.DataFrame, arm: pd.DataFrame, attacks: Sequence[AttackSpec]
) -> dict[tuple[str, str], float]:
    paired = _plain_arm(cells, "placebo", attacks).merge(arm, on=PAIR)
    paired["difference"] = paired["distance"] - paired["clean"]
    return {
        (str(mimicry), str(model)): statistics.noise(group["difference"].tolist())
        for (mimicry, model), group in paired.groupby(ARM)
    }


def _plain_arm(cells: pd.DataFrame, role: str, attacks: Sequence[AttackSpec]) -> pd.DataFrame:
    # Where two attacks share mimicry and model, the suite's first is the arm.
    order = {attack.name: position for position, attack in enumerate(attacks)}
    chosen = cells[
        (cells["role"] == role)
        & (cells["countermeasure"] == NO_COUNTERMEASURE)
        & cells["distance"].notna()
        & cells["attack"].isin(list(order))
    ]
    chosen = chosen.assign(order=chosen["attack"].map(order)).sort_values(["order", "strength"], kind="stable")
    return chosen.drop_duplicates(PAIR)[[*PAIR, "distance", *HALVES]]
