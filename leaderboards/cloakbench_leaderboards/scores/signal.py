"""How much an attack learns from clean images: the denominator of every score, and the test that it is not noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import pandas as pd

from cloakbench.schemas.kinds import Role
from cloakbench.schemas.suite import AttackSpec
from cloakbench_leaderboards.data.frames import NO_COUNTERMEASURE
from cloakbench_leaderboards.scores import statistics

ARM = ["mimicry", "model"]
PAIR = ["artist", "mimicry", "model", "seed"]
Arm = tuple[str, str]
"""Mimicry and base model."""


class SignalState(StrEnum):
    """Whether P exists for a mimicry on one artist, and if not, what is missing."""

    LEARNED = "learned"
    NO_PLAIN_ATTACK = "no plain attack"
    NO_SHARED_SEED = "no shared seed"
    NO_NOISE = "no noise"
    NOT_LEARNED = "not learned"


class Signal(NamedTuple):
    """How much one mimicry on one base model learns from one artist's clean images."""

    artist: str
    mimicry: str
    model: str
    denominator: float
    """D_floor - D_clean, mean over the seeds that both arms have; NaN where an arm is absent."""
    lower: float
    noise: float
    """Standard deviation of the clean arm's distance over attack seeds, pooled over artists; with one seed per artist
    that of the placebo's difference to the clean arm."""
    state: SignalState

    @property
    def has_signal(self) -> bool:
        """Whether P exists against it."""
        return self.state is SignalState.LEARNED

    @property
    def is_tested(self) -> bool:
        """Whether the runs that show it are there, and enough of them."""
        return self.state in (SignalState.LEARNED, SignalState.NOT_LEARNED)

    @property
    def reason(self) -> str:
        """Why there is no P against it, in words; empty where there is one."""
        if self.state is SignalState.NO_PLAIN_ATTACK:
            return (
                f"the suite has no attack without countermeasure for {self.mimicry} on {self.model}, "
                "so nothing to compare with"
            )
        if self.state is SignalState.NO_SHARED_SEED:
            return (
                "not known yet: no seed has both a run on clean images and one of the model that never saw the artist"
            )
        if self.state is SignalState.NO_NOISE:
            return "neither a second seed nor a placebo to measure the noise with"
        if self.state is SignalState.NOT_LEARNED:
            return (
                f"the attack did not learn: floor minus clean is at least {self.lower:.3g}, "
                f"under {statistics.SIGNAL_RATIO:g} times the noise of {self.noise:.3g}"
            )
        return ""


def clean(cells: pd.DataFrame, attacks: Sequence[AttackSpec]) -> pd.DataFrame:
    """Returns the clean arm without countermeasure: artist, mimicry, model, seed, `clean`."""
    return _plain_arm(cells, Role.IDENTITY, attacks).rename(columns={"distance": "clean"})


def signals(cells: pd.DataFrame, attacks: Sequence[AttackSpec], artists: Sequence[str]) -> list[Signal]:
    """Returns one signal per artist, mimicry and base model of the suite."""
    arm = clean(cells, attacks)
    floor = cells[(cells["role"] == Role.FLOOR) & cells["distance"].notna()]
    differences = floor.drop_duplicates(PAIR)[[*PAIR, "distance"]].merge(arm, on=PAIR)
    differences["difference"] = differences["distance"] - differences["clean"]
    by_arm: dict[object, list[float]] = {}
    for key, group in differences.groupby(["artist", *ARM]):
        by_arm[key] = group["difference"].tolist()
    noise = _placebo_noise(cells, arm, attacks) | _seed_noise(arm)
    has_plain: dict[Arm, bool] = {}
    for attack in attacks:
        pair = (attack.mimicry, attack.model)
        has_plain[pair] = has_plain.get(pair, False) or attack.countermeasure is None
    signals = []
    for pair, is_plain in has_plain.items():
        for artist in artists:
            values = by_arm.get((artist, *pair), []) if is_plain else []
            signals.append(_signal(artist, pair, values, noise.get(pair, math.nan), is_plain))
    return signals


def _signal(artist: str, arm: Arm, differences: list[float], noise: float, has_plain: bool) -> Signal:
    if not differences:
        state = SignalState.NO_SHARED_SEED if has_plain else SignalState.NO_PLAIN_ATTACK
        return Signal(artist, *arm, math.nan, math.nan, noise, state)
    value, lower = math.fsum(differences) / len(differences), statistics.lower_limit(differences)
    state = SignalState.LEARNED
    if math.isnan(noise):
        state = SignalState.NO_NOISE
    elif lower <= 0 or lower < statistics.SIGNAL_RATIO * noise:
        state = SignalState.NOT_LEARNED
    return Signal(artist, *arm, value, lower, noise, state)


def _seed_noise(arm: pd.DataFrame) -> dict[Arm, float]:
    """Returns the pooled standard deviation over seeds of the clean arm, where some artist has two seeds or more.

    A placebo under the same seed trains the same model again: its noise is far below that of another training.
    """
    variances = arm.groupby([*ARM, "artist"], observed=True)["clean"].agg(["var", "count"])
    variances = variances[variances["count"] > 1]
    noise = {}
    for (mimicry, model), group in variances.groupby(level=ARM):
        freedom = group["count"] - 1
        noise[str(mimicry), str(model)] = float(np.sqrt((group["var"] * freedom).sum() / freedom.sum()))
    return noise


def _placebo_noise(cells: pd.DataFrame, arm: pd.DataFrame, attacks: Sequence[AttackSpec]) -> dict[Arm, float]:
    paired = _plain_arm(cells, Role.PLACEBO, attacks).merge(arm, on=PAIR)
    paired["difference"] = paired["distance"] - paired["clean"]
    noise = {}
    for (mimicry, model), group in paired.groupby(ARM):
        noise[str(mimicry), str(model)] = statistics.noise(group["difference"].tolist())
    return noise


def _plain_arm(cells: pd.DataFrame, role: Role, attacks: Sequence[AttackSpec]) -> pd.DataFrame:
    # Where two attacks share mimicry and model, the suite's first is the arm.
    order = {attack.name: position for position, attack in enumerate(attacks)}
    chosen = cells[
        (cells["role"] == role)
        & (cells["countermeasure"] == NO_COUNTERMEASURE)
        & cells["distance"].notna()
        & cells["attack"].isin(list(order))
    ]
    chosen = chosen.assign(order=chosen["attack"].map(order)).sort_values(["order", "strength"], kind="stable")
    return chosen.drop_duplicates(PAIR)[[*PAIR, "distance"]]
