"""P and effect: cells to points of artists to operating points, each a pure function of records."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from cloakbench.schemas.suite import AttackSpec
from cloakbench_leaderboards.data.frames import HALVES
from cloakbench_leaderboards.scores import statistics
from cloakbench_leaderboards.scores.signal import PAIR, Signal, clean, signals
from cloakbench_leaderboards.scores.statistics import Array, Estimate

OWN_FAULT = ("failed", "invalid_output", "timeout", "oom")
"""Statuses that count against the submission: the mimic gets the clean images, P = 0."""
POINT = ["protection", "strength", "attack"]
ARTIST = [*POINT, "artist"]
Address = tuple[str, float, str]
"""Protection, strength, attack."""


class ScoredPoint(NamedTuple):
    """One protection at one strength against one attack, over artists."""

    protection: str
    strength: float
    attack: str
    p: Estimate
    effect: Estimate
    distance: Estimate
    missing: tuple[str, ...]
    """Artists with a signal but without a score."""
    failed: tuple[str, ...]
    """Artists on whom the submission's own fault counts as 0."""
    no_signal: tuple[str, ...]
    reason: str
    """Why P is not there at all; empty where it is."""


@dataclass(frozen=True)
class ScoreMatrices:
    """The points as matrices: operating points down, artists across, NaN where there is no score."""

    rows: dict[Address, int]
    """Number of the matrix row by protection, strength, attack."""
    artists: tuple[str, ...]
    p: Array
    """At most 1."""
    effect: Array
    """At most 1."""
    first: Array
    """P on the even generations alone, not capped."""
    second: Array
    distance: Array
    denominator: Array
    """Of each artist under the row's attack, whether scored or not; NaN where there is no signal."""
    learned: frozenset[str]
    """Attacks that learned from at least one artist."""


@dataclass(frozen=True)
class Scores:
    """All scores of a board."""

    signals: list[Signal]
    points: pd.DataFrame
    """One row per protection, strength, attack and artist; P and effect uncapped, `reason` where there is none."""
    grid: ScoreMatrices
    summary: dict[Address, ScoredPoint]
    """The points over artists."""


def score(cells: pd.DataFrame, attacks: Sequence[AttackSpec], artists: Sequence[str]) -> Scores:
    """Returns the scores of every entry with cells on these attacks; no entry's score depends on another's."""
    found = signals(cells, attacks, artists)
    has_point = cells["attack"].isin([attack.name for attack in attacks]) & (cells["role"] != "floor")
    # Strength 0 beside a target: no strength of the protection meets it.
    has_point &= ~(cells["target"].notna() & (cells["strength"] == 0))
    points = _points(_paired(cells[has_point], cells, attacks), found)
    grid = _grid(points, attacks, artists, found)
    return Scores(found, points, grid, _summary(points, grid, attacks, found))


def _paired(chosen: pd.DataFrame, cells: pd.DataFrame, attacks: Sequence[AttackSpec]) -> pd.DataFrame:
    arm = ["artist", "attack", "seed"]
    same = cells[(cells["role"] == "identity") & cells["distance"].notna()]
    same = same.drop_duplicates(arm)[[*arm, "distance"]].rename(columns={"distance": "clean_same"})
    paired = chosen.merge(clean(cells, attacks), on=PAIR, how="left").merge(same, on=arm, how="left")
    fault = paired["status"].isin(OWN_FAULT)
    return paired.assign(
        p=(paired["distance"] - paired["clean"]).mask(fault, 0.0),
        effect=(paired["distance"] - paired["clean_same"]).mask(fault, 0.0),
        **{half: (paired[half] - paired[f"clean_{half}"]).mask(fault, 0.0) for half in HALVES},
        failed=fault,
    )


def _points(paired: pd.DataFrame, found: Sequence[Signal]) -> pd.DataFrame:
    groups = paired.groupby(ARTIST, sort=True, observed=True)
    points = groups[["p", "effect", *HALVES, "distance"]].mean()
    points = points.assign(failed=groups["failed"].any(), **groups[["mimicry", "model", "role"]].first())
    points = points.reset_index().astype({"protection": str, "attack": str, "artist": str})
    known = pd.DataFrame(
        [(*each[:3], each.denominator, each.reason) for each in found],
        columns=["artist", "mimicry", "model", "denominator", "blocked"],
    )
    points = points.merge(known, on=["artist", "mimicry", "model"], how="left")
    points["blocked"] = points["blocked"].fillna("the suite does not have this artist")
    no_signal = points["blocked"] != ""
    for name in ("p", "effect", *HALVES):
        points[name] = (points[name] / points["denominator"]).mask(no_signal)
    reason = points["blocked"].mask(~no_signal, _reasons(paired, points))
    return points.assign(reason=reason, no_signal=no_signal).drop(columns="blocked")


def _reasons(paired: pd.DataFrame, points: pd.DataFrame) -> pd.Series[str]:
    """Returns for each point what went wrong with its first cell that is not ok; empty where nothing did."""
    bad = paired[paired["status"] != "ok"].drop_duplicates(ARTIST)
    told = bad[ARTIST].assign(told=bad["status"].astype(str) + ": " + bad["reason"].astype(str))
    found = points[[*ARTIST, "p"]].merge(told.astype({name: points[name].dtype for name in ARTIST}), how="left")
    unpaired = found["told"].isna() & found["p"].isna()
    return found["told"].mask(unpaired, "no clean cell of the same seed").fillna("")


def _grid(
    points: pd.DataFrame, attacks: Sequence[AttackSpec], artists: Sequence[str], found: Sequence[Signal]
) -> ScoreMatrices:
    known = points[points["artist"].isin(list(artists))]
    addresses = known.groupby(POINT, sort=True).ngroup().to_numpy()
    column = known["artist"].map({name: number for number, name in enumerate(artists)}).to_numpy()
    unique = known.drop_duplicates(POINT)[POINT].sort_values(POINT)
    rows = {address: number for number, address in enumerate(unique.itertuples(index=False, name=None))}

    def matrix(values: pd.Series[float]) -> Array:
        empty = np.full((len(rows), len(artists)), math.nan)
        empty[addresses, column] = values.to_numpy()
        return empty

    of_arm = {
        (attack.name, each.artist): each.denominator
        for attack in attacks
        for each in found
        if not each.reason and (each.mimicry, each.model) == (attack.mimicry, attack.model)
    }
    by_attack = {a.name: [of_arm.get((a.name, artist), math.nan) for artist in artists] for a in attacks}
    return ScoreMatrices(
        rows=rows,
        artists=tuple(artists),
        p=matrix(known["p"].clip(upper=1.0)),
        effect=matrix(known["effect"].clip(upper=1.0)),
        first=matrix(known["first"]),
        second=matrix(known["second"]),
        distance=matrix(known["distance"]),
        denominator=np.asarray([by_attack[attack] for _, _, attack in rows], dtype=float).reshape(-1, len(artists)),
        learned=frozenset(name for name, values in by_attack.items() if np.isfinite(values).any()),
    )


def _summary(
    points: pd.DataFrame, grid: ScoreMatrices, attacks: Sequence[AttackSpec], found: Sequence[Signal]
) -> dict[Address, ScoredPoint]:
    p = statistics.estimates(statistics.contributions(grid.p * grid.denominator, grid.denominator))
    effect = statistics.estimates(statistics.contributions(grid.effect * grid.denominator, grid.denominator))
    distance = statistics.estimates(grid.distance)
    names = np.asarray(grid.artists, dtype=object)
    alive = np.isfinite(grid.denominator)
    missing = alive & ~np.isfinite(grid.p)
    failed: dict[Address, list[str]] = {}
    for *place, artist in points.loc[points["failed"] & ~points["no_signal"], ARTIST].itertuples(index=False):
        failed.setdefault((place[0], place[1], place[2]), []).append(artist)
    gone = points[points["p"].isna() & ~points["no_signal"]].drop_duplicates(POINT)
    lost = {tuple(place): reason for *place, reason in gone[[*POINT, "reason"]].itertuples(index=False)}
    dead = {a.name: [e.reason for e in found if e.reason and e[1:3] == (a.mimicry, a.model)] for a in attacks}
    summary = {}
    for address, row in grid.rows.items():
        reason = ""
        if not alive[row].any():
            reason = next(iter(dead[address[2]]), "no artist")
        elif p.n[row] == 0:
            reason = lost.get(address, "no scored cell")
        summary[address] = ScoredPoint(
            *address,
            p=p.at(row),
            effect=effect.at(row),
            distance=distance.at(row),
            missing=tuple(names[missing[row]]),
            failed=tuple(failed.get(address, ())),
            no_signal=tuple(names[~alive[row]]),
            reason=reason,
        )
    return summary
