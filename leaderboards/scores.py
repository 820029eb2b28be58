"""P and effect: cells to artists to operating points, each a pure function of records."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, cast

import pandas as pd

from benchmark.suites.schema import AttackSpec
from leaderboards import statistics
from leaderboards.signal import PAIR, Signal, clean, signals
from leaderboards.statistics import Estimate

OWN_FAULT = ("failed", "invalid_output", "timeout", "oom")
"""Statuses that count against the submission: the mimic gets the clean images, P = 0."""
ARTIST = ["protection", "strength", "attack", "artist"]


class ArtistScore(NamedTuple):
    """What one protection at one strength did for one artist against one attack."""

    protection: str
    strength: float
    attack: str
    artist: str
    p: float
    """Uncapped; NaN where it is not scored."""
    effect: float
    distance: float
    """Mean of D over its seeds; NaN where no cell has one."""
    denominator: float
    reason: str
    """Why it is not scored, or, where `failed`, what went wrong."""
    failed: bool
    """Whether a fault of the submission's own counts as 0 in it."""
    no_signal: bool


class Point(NamedTuple):
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


class Scores(NamedTuple):
    """All scores of a board."""

    signals: list[Signal]
    artists: list[ArtistScore]
    points: dict[tuple[str, float, str], Point]
    """By protection, strength, attack."""


def score(cells: pd.DataFrame, attacks: Sequence[AttackSpec], artists: Sequence[str]) -> Scores:
    """Returns the scores of every entry with cells on these attacks; no entry's score depends on another's."""
    found = signals(cells, attacks, artists)
    known = cells[cells["attack"].isin([attack.name for attack in attacks]) & (cells["role"] != "floor")]
    rows = _artist_scores(_paired(known, attacks), {each[:3]: each for each in found})
    groups: dict[tuple[str, float, str], list[ArtistScore]] = {}
    for row in rows:
        groups.setdefault((row.protection, row.strength, row.attack), []).append(row)
    blocked = {each[:3]: each.reason for each in found if each.reason}
    arms = {attack.name: (attack.mimicry, attack.model) for attack in attacks}
    points = {}
    for key, group in sorted(groups.items()):
        dead = {artist: blocked[artist, *arms[key[2]]] for artist in artists if (artist, *arms[key[2]]) in blocked}
        points[key] = _point(key, group, artists, dead)
    return Scores(found, rows, points)


def _paired(cells: pd.DataFrame, attacks: Sequence[AttackSpec]) -> pd.DataFrame:
    same = cells[(cells["role"] == "identity") & cells["distance"].notna()]
    same = same.drop_duplicates(["artist", "attack", "seed"])[["artist", "attack", "seed", "distance"]]
    paired = cells.merge(clean(cells, attacks), on=PAIR, how="left").merge(
        same.rename(columns={"distance": "clean_same"}), on=["artist", "attack", "seed"], how="left"
    )
    fault = paired["status"].isin(OWN_FAULT)
    paired["numerator"] = (paired["distance"] - paired["clean"]).mask(fault, 0.0)
    paired["added"] = (paired["distance"] - paired["clean_same"]).mask(fault, 0.0)
    return paired.assign(fault=fault)


def _artist_scores(paired: pd.DataFrame, found: dict[tuple[str, str, str], Signal]) -> list[ArtistScore]:
    rows = []
    for place, group in paired.groupby(ARTIST, sort=True):
        protection, strength, attack, artist = cast("tuple[str, float, str, str]", place)
        signal = found.get((artist, group["mimicry"].iloc[0], group["model"].iloc[0]))
        denominator = signal.denominator if signal else math.nan
        blocked = signal.reason if signal else "the suite does not have this artist"
        p = math.nan if blocked else group["numerator"].mean() / denominator
        effect = math.nan if blocked else group["added"].mean() / denominator
        rows.append(
            ArtistScore(
                protection=protection,
                strength=float(strength),
                attack=attack,
                artist=artist,
                p=float(p),
                effect=float(effect),
                distance=float(group["distance"].mean()),
                denominator=denominator,
                reason=blocked or _cell_reason(group),
                failed=bool(group["fault"].any()),
                no_signal=bool(blocked),
            )
        )
    return rows


def _cell_reason(group: pd.DataFrame) -> str:
    bad = group[group["status"] != "ok"]
    if len(bad):
        return f"{bad['status'].iloc[0]}: {bad['reason'].iloc[0]}"
    return "no clean cell of the same seed" if group["numerator"].isna().all() else ""


def _point(
    key: tuple[str, float, str], group: list[ArtistScore], artists: Sequence[str], dead: dict[str, str]
) -> Point:
    scored = [row for row in group if not math.isnan(row.p)]
    present = {row.artist for row in scored}
    alive = [artist for artist in artists if artist not in dead]
    missing = tuple(artist for artist in alive if artist not in present)
    reason = ""
    if not alive:
        reason = next(iter(dead.values()), "no artist")
    elif not scored:
        reason = next((row.reason for row in group if row.artist in missing and row.reason), "no scored cell")
    return Point(
        *key,
        p=_capped([(row.p, row.denominator) for row in scored]),
        effect=_capped([(row.effect, row.denominator) for row in scored if not math.isnan(row.effect)]),
        distance=statistics.mean([row.distance for row in group if not math.isnan(row.distance)]),
        missing=missing,
        failed=tuple(row.artist for row in scored if row.failed),
        no_signal=tuple(dead),
        reason=reason,
    )


def _capped(rows: list[tuple[float, float]]) -> Estimate:
    return statistics.ratio([min(value, 1.0) * weight for value, weight in rows], [weight for _, weight in rows])
