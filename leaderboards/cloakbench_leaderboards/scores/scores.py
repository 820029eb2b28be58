"""P and effect: cells to points of artists to operating points, each a pure function of records."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from cloakbench.schemas.kinds import Role, Status
from cloakbench.schemas.suite import AttackSpec
from cloakbench_leaderboards.data.frames import CellStatus
from cloakbench_leaderboards.scores import statistics
from cloakbench_leaderboards.scores.signal import PAIR, Signal
from cloakbench_leaderboards.scores.signal import clean as clean_arm
from cloakbench_leaderboards.scores.signal import signals as denominators
from cloakbench_leaderboards.scores.statistics import Array, Estimate

OWN_FAULT = tuple(CellStatus(str(status)) for status in Status if status.counts_against_submission)
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
    seeds: Array
    """P of each seed, not capped: operating points, seeds, artists."""
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
    clean: ScoreMatrices
    """The unprotected images at as many seeds as the entries have: their minimum over attacks is subtracted."""


def score(
    cells: pd.DataFrame, attacks: Sequence[AttackSpec], artists: Sequence[str], seeds: int | None = None
) -> Scores:
    """Returns the scores of every entry with cells on these attacks; no entry's score depends on another's.

    Args:
        cells: What `frames.cells` returns; may be empty.
        attacks: The attacks that scores are made of, in the suite's order.
        artists: The suite's artists; others are not scored.
        seeds: Attack seeds of an entry's cells; by default all that the clean arm has.
    """
    signals = denominators(cells, attacks, artists)
    has_point = cells["attack"].isin([attack.name for attack in attacks]) & (cells["role"] != Role.FLOOR)
    # Strength 0 beside a target: no strength of the protection meets it.
    has_point &= ~(cells["target"].notna() & (cells["strength"] == 0))
    paired = _paired(cells[has_point], cells, attacks)
    points = _points(paired, signals)
    grid = _matrices(points, paired, attacks, artists, signals)
    is_clean = (paired["role"] == str(Role.IDENTITY)) & (paired["seed"] < (math.inf if seeds is None else seeds))
    clean = _matrices(_points(paired[is_clean], signals), paired[is_clean], attacks, artists, signals)
    return Scores(signals, points, grid, _summary(points, grid, attacks, signals), clean)


def _paired(chosen: pd.DataFrame, cells: pd.DataFrame, attacks: Sequence[AttackSpec]) -> pd.DataFrame:
    """Returns the chosen cells with their differences to the clean arm, 0 where the submission is at fault.

    A cell is compared with the clean cell of its own seed. The denominator averages all seeds that clean arm and floor
    share.
    """
    arm = ["artist", "attack", "seed"]
    same = cells[(cells["role"] == Role.IDENTITY) & cells["distance"].notna()]
    same = same.drop_duplicates(arm)[[*arm, "distance"]].rename(columns={"distance": "clean_same"})
    paired = chosen.merge(clean_arm(cells, attacks), on=PAIR, how="left").merge(same, on=arm, how="left")
    fault = paired["status"].isin(OWN_FAULT)
    paired["failed"] = fault
    paired["p"] = (paired["distance"] - paired["clean"]).mask(fault, 0.0)
    paired["effect"] = (paired["distance"] - paired["clean_same"]).mask(fault, 0.0)
    return paired


def _points(paired: pd.DataFrame, signals: Sequence[Signal]) -> pd.DataFrame:
    """Returns one row per protection, strength, attack and artist: means over seeds, P and effect not capped."""
    groups = paired.groupby(ARTIST, sort=True, observed=True)
    points = groups[["p", "effect", "distance"]].mean()
    points = points.assign(failed=groups["failed"].any(), **groups[["mimicry", "model", "role"]].first())
    points = points.reset_index().astype({"protection": str, "strength": float, "attack": str, "artist": str})
    rows = [(s.artist, s.mimicry, s.model, s.denominator, s.has_signal, s.reason) for s in signals]
    by_signal = pd.DataFrame(rows, columns=["artist", "mimicry", "model", "denominator", "has_signal", "blocked"])
    by_signal = by_signal.astype({"artist": str, "mimicry": str, "model": str, "denominator": float})
    points = points.astype({"mimicry": str, "model": str}).merge(
        by_signal, on=["artist", "mimicry", "model"], how="left"
    )
    no_signal = points["has_signal"] != True  # noqa: E712 - NaN where the suite does not have the artist
    for name in ("p", "effect"):
        points[name] = (points[name] / points["denominator"]).mask(no_signal)
    blocked = points["blocked"].fillna("the suite does not have this artist")
    reason = blocked.mask(~no_signal, _reasons(paired, points))
    return points.assign(reason=reason, no_signal=no_signal).drop(columns=["blocked", "has_signal"])


def _reasons(paired: pd.DataFrame, points: pd.DataFrame) -> pd.Series[str]:
    """Returns for each point what went wrong with its first cell that is not ok; empty where nothing did."""
    failed = paired[paired["status"] != str(CellStatus.OK)].drop_duplicates(ARTIST)
    words = failed[ARTIST].assign(words=failed["status"].astype(str) + ": " + failed["reason"].astype(str))
    words = words.astype({name: points[name].dtype for name in ARTIST})
    merged = points[[*ARTIST, "p"]].merge(words, how="left")
    unpaired = merged["words"].isna() & merged["p"].isna()
    return merged["words"].astype(object).mask(unpaired, "no clean cell of the same seed").fillna("")


def _matrices(
    points: pd.DataFrame,
    paired: pd.DataFrame,
    attacks: Sequence[AttackSpec],
    artists: Sequence[str],
    signals: Sequence[Signal],
) -> ScoreMatrices:
    scored = points[points["artist"].isin(list(artists))]
    addresses = scored.groupby(POINT, sort=True).ngroup().to_numpy(dtype=int)
    columns = pd.Series(range(len(artists)), index=list(artists), dtype=int)
    column = scored["artist"].map(columns).to_numpy(dtype=int)
    unique = scored.drop_duplicates(POINT)[POINT].sort_values(POINT)
    rows = {address: number for number, address in enumerate(unique.itertuples(index=False, name=None))}

    def matrix(values: pd.Series[float]) -> Array:
        filled = np.full((len(rows), len(artists)), math.nan)
        filled[addresses, column] = values.to_numpy()
        return filled

    by_attack = _denominators(attacks, artists, signals)
    denominator = np.full((len(rows), len(artists)), math.nan)
    for (_, _, attack), row in rows.items():
        denominator[row] = by_attack[attack]
    return ScoreMatrices(
        rows=rows,
        artists=tuple(artists),
        p=matrix(scored["p"].clip(upper=1.0)),
        effect=matrix(scored["effect"].clip(upper=1.0)),
        seeds=_by_seed(paired, rows, artists) / denominator[:, None, :],
        distance=matrix(scored["distance"]),
        denominator=denominator,
        learned=frozenset(name for name, values in by_attack.items() if np.isfinite(values).any()),
    )


def _by_seed(paired: pd.DataFrame, rows: dict[Address, int], artists: Sequence[str]) -> Array:
    """Returns the difference to the clean arm by operating point, seed and artist; NaN where there is none."""
    chosen = paired[paired["artist"].isin(list(artists))]
    chosen = chosen.astype({"protection": str, "strength": float, "attack": str, "artist": str})
    seeds, labels = pd.factorize(chosen["seed"], sort=True)
    groups = chosen.groupby(POINT, sort=True)
    # Groups and `rows` have the same addresses in the same order.
    assert groups.ngroups == len(rows)
    columns = pd.Series(range(len(artists)), index=list(artists), dtype=int)
    filled = np.full((len(rows), max(len(labels), 1), len(artists)), math.nan)
    column = chosen["artist"].map(columns).to_numpy(dtype=int)
    filled[groups.ngroup().to_numpy(dtype=int), seeds, column] = chosen["p"].to_numpy(dtype=float)
    return filled


def _denominators(attacks: Sequence[AttackSpec], artists: Sequence[str], signals: Sequence[Signal]) -> dict[str, Array]:
    """Returns one denominator per artist under each attack, that of its mimicry and model; NaN without a signal."""
    by_arm: dict[tuple[str, str, str], float] = {}
    for signal in signals:
        if signal.has_signal:
            by_arm[signal.artist, signal.mimicry, signal.model] = signal.denominator
    by_attack = {}
    for attack in attacks:
        values = [by_arm.get((artist, attack.mimicry, attack.model), math.nan) for artist in artists]
        by_attack[attack.name] = np.asarray(values, dtype=float)
    return by_attack


def _summary(
    points: pd.DataFrame, grid: ScoreMatrices, attacks: Sequence[AttackSpec], signals: Sequence[Signal]
) -> dict[Address, ScoredPoint]:
    p = statistics.estimates(statistics.contributions(grid.p * grid.denominator, grid.denominator))
    effect = statistics.estimates(statistics.contributions(grid.effect * grid.denominator, grid.denominator))
    distance = statistics.estimates(grid.distance)
    names = np.asarray(grid.artists, dtype=object)
    has_signal = np.isfinite(grid.denominator)
    missing = has_signal & ~np.isfinite(grid.p)
    failed = _failed_artists(points)
    lost = points[points["p"].isna() & ~points["no_signal"]].drop_duplicates(POINT)
    reasons = dict(zip(lost[POINT].itertuples(index=False, name=None), lost["reason"], strict=True))
    summary = {}
    for address, row in grid.rows.items():
        reason = ""
        if not has_signal[row].any():
            reason = _why_no_signal(address[2], attacks, signals)
        elif p.n[row] == 0:
            reason = reasons.get(address, "no scored cell")
        summary[address] = ScoredPoint(
            *address,
            p=p.at(row),
            effect=effect.at(row),
            distance=distance.at(row),
            missing=tuple(names[missing[row]]),
            failed=tuple(failed.get(address, ())),
            no_signal=tuple(names[~has_signal[row]]),
            reason=reason,
        )
    return summary


def _failed_artists(points: pd.DataFrame) -> dict[Address, list[str]]:
    failed: dict[Address, list[str]] = {}
    rows = points.loc[points["failed"].astype(bool) & ~points["no_signal"], ARTIST]
    for protection, strength, attack, artist in rows.itertuples(index=False, name=None):
        failed.setdefault((protection, strength, attack), []).append(artist)
    return failed


def _why_no_signal(name: str, attacks: Sequence[AttackSpec], signals: Sequence[Signal]) -> str:
    """Returns why an attack learned from no artist: the reason of the first one."""
    arms = []
    for attack in attacks:
        if attack.name == name:
            arms.append((attack.mimicry, attack.model))
    for signal in signals:
        if not signal.has_signal and (signal.mimicry, signal.model) in arms:
            return signal.reason
    return "no artist"
