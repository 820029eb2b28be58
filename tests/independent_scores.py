"""The board's numbers once more, with pandas straight from the JSON lines: nothing of the leaderboards is imported.

python -m tests.independent_scores leaderboards/reference/mini
"""

from __future__ import annotations

import itertools
import json
import math
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

LEAST_ARTISTS = 6


class Numbers(NamedTuple):
    """What a board says at its middle target."""

    p: dict[str, float]
    """P against the headline's attack by entry."""
    worst: dict[str, float]
    """Worst case by entry, of those with every attack."""
    ranks: dict[str, tuple[int, int, int]]
    """Rank and its limits by entry; empty with fewer than two."""
    least_difference: float


def read(folder: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    """Returns the suite and one row per cell of the largest environment class, with the mean distances."""
    suite = json.loads((folder / "facts.json").read_text())["suite"]
    primary = suite["metrics"]["primary"]
    rows = []
    for line in (folder / "records.jsonl").read_text().splitlines():
        record = json.loads(line)
        values = np.asarray(record["generations"].get(primary, []), dtype=float)
        rows.append(
            {
                "entry": record["protection"]["name"],
                "role": record["protection"]["role"],
                "artist": record["artist"],
                "strength": record["strength"],
                "target": record["target"],
                "attack": record["attack"]["name"],
                "countermeasure": record["attack"]["countermeasure"],
                "arm": (record["attack"]["mimicry"], record["attack"]["model"]),
                "seed": record["seed"],
                "status": record["status"],
                "class": (record["environment"]["env_class"], record["salt_digest"]),
                "distance": values.mean() if len(values) else math.nan,
            }
        )
    cells = pd.DataFrame(rows)
    largest = cells["class"].value_counts().idxmax()
    return suite, cells[(cells["class"] == largest) & (cells["status"] == "ok")]


def numbers(folder: Path) -> Numbers:
    """Returns the numbers at the middle target of the attack that the suite ranks by, or of its first."""
    suite, cells = read(folder)
    names = [attack["name"] for attack in suite["attacks"]]
    headline = suite["rank_by"] if suite["rank_by"] in names else names[0]
    arm = cells.loc[cells["attack"] == headline, "arm"].iloc[0]
    own = cells[cells["arm"] == arm]
    clean = own[(own["role"] == "identity") & own["countermeasure"].isna()].set_index(["artist", "seed"])
    floor = own[own["role"] == "floor"].drop_duplicates(["artist", "seed"]).set_index(["artist", "seed"])
    weights = _weights(clean["distance"], floor["distance"])
    family = []
    for attack in suite["attacks"]:
        if (attack["mimicry"], attack["model"]) == arm:
            family.append(attack["name"])
    listed = suite.get("worst_case") or family
    options = [name for name in family if name == headline or name in listed]
    seeds = range(suite["seeds"]["protected"])
    target = sorted(suite["matching"]["targets"], reverse=suite["matching"]["metric"] == "psnr")[1]
    scored = {}
    for entry, group in own[own["target"] == target].groupby("entry"):
        scored[entry] = [_scores(group[group["seed"] == seed], clean, weights) for seed in seeds]
    identity = own[own["role"] == "identity"]
    by_seed = [_scores(identity[identity["seed"] == seed], clean, weights) for seed in seeds]
    unprotected = _least(by_seed, options, weights)
    submissions = sorted(own.loc[own["role"] == "submission", "entry"].unique())
    p, worst, shared = {}, {}, {}
    for entry in submissions:
        if entry in scored and headline in scored[entry][0].columns:
            means = sum(table[headline] for table in scored[entry]) / len(seeds)
            shared[entry] = _contributions(means.clip(upper=1.0), weights)
            p[entry] = float(shared[entry].mean())
        if entry in scored and set(options) <= set(scored[entry][0].columns):
            worst[entry] = _least(scored[entry], options, weights) - unprotected
    return Numbers(
        p=p,
        worst={entry: float(values.mean()) for entry, values in worst.items()},
        ranks=_ranks(worst),
        least_difference=_least_difference(shared),
    )


def _weights(clean: pd.Series[float], floor: pd.Series[float]) -> pd.Series[float]:
    """Returns floor minus clean by artist, of those whose lower limit reaches three times the spread over seeds."""
    differences = (floor - clean).dropna()
    by_artist = differences.groupby(level="artist")
    error = by_artist.std() / np.sqrt(by_artist.count())
    lower = by_artist.mean() - 2 * error
    variances, counts = clean.groupby(level="artist").var(), clean.groupby(level="artist").count()
    noise = math.sqrt((variances * (counts - 1)).sum() / (counts - 1).sum())
    return by_artist.mean()[(lower > 0) & (lower >= 3 * noise)]


def _scores(cells: pd.DataFrame, clean: pd.DataFrame, weights: pd.Series[float]) -> pd.DataFrame:
    """Returns P by artist (rows) and attack (columns)."""
    paired = cells.join(clean["distance"].rename("clean"), on=["artist", "seed"])
    difference = (paired["distance"] - paired["clean"]).rename("p")
    means = difference.groupby([paired["artist"], paired["attack"]]).mean().unstack("attack")
    return means.reindex(weights.index).div(weights, axis=0)


def _least(tables: list[pd.DataFrame], options: list[str], weights: pd.Series[float]) -> pd.Series[float]:
    """Returns pseudo-values of the least P by artist, the attack chosen on halves of the other artists."""
    table = (sum(table[options] for table in tables) / len(tables)).clip(upper=1.0)
    whole, without = _chosen_mean(table, weights), {}
    for artist in weights.index:
        without[artist] = _chosen_mean(table.drop(index=artist), weights.drop(artist))
    remaining = pd.Series(without)
    return whole + (len(remaining) - 1) * (remaining.mean() - remaining)


def _chosen_mean(table: pd.DataFrame, weights: pd.Series[float]) -> float:
    """Returns the weighted mean over artists of P under the attack that is lowest on each half without the artist."""
    total = 0.0
    for artist in table.index:
        others = [name for name in table.index if name != artist]
        chosen = []
        for half in itertools.combinations(others, len(table) // 2):
            products = table.loc[list(half)].to_numpy() * weights[list(half)].to_numpy()[:, None]
            chosen.append(table.loc[artist].iloc[int(products.sum(0).argmin())])
        total += weights[artist] * float(np.mean(chosen))
    return total / float(weights.sum())


def _contributions(p: pd.Series[float], weights: pd.Series[float]) -> pd.Series[float]:
    ratio = (p * weights).sum() / weights.sum()
    return ratio + len(p) * weights * (p - ratio) / weights.sum()


def _ranks(values: dict[str, pd.Series[float]]) -> dict[str, tuple[int, int, int]]:
    if len(values) < 2:
        return {}
    pairs = list(itertools.combinations(values, 2))
    p = [stats.ttest_rel(values[first], values[second]).pvalue for first, second in pairs]
    order = np.argsort(p)
    passing = []
    for number, pair in enumerate(order, start=1):
        if p[pair] <= 0.05 * number / len(pairs):
            passing.append(number)
    apart = {frozenset(pairs[pair]) for pair in order[: max(passing, default=0)]}
    means = {entry: series.mean() for entry, series in values.items()}
    ranks = {}
    for rank, entry in enumerate(sorted(means, key=lambda name: -means[name]), start=1):
        different = [other for other in means if frozenset((entry, other)) in apart]
        above = sum(means[other] > means[entry] for other in different)
        ranks[entry] = (rank, 1 + above, len(means) - (len(different) - above))
    return ranks


def _least_difference(values: dict[str, pd.Series[float]]) -> float:
    spreads = [(values[a] - values[b]).std() for a, b in itertools.combinations(values, 2)]
    if not spreads:
        return math.nan
    n = len(next(iter(values.values())))
    return float((stats.t.ppf(0.975, n - 1) + stats.t.ppf(0.8, n - 1)) * np.median(spreads) / math.sqrt(n))


if __name__ == "__main__":
    for name, value in numbers(Path(sys.argv[1]))._asdict().items():
        print(name, value)
