"""How visible each artist's protected images are: quality by artist, and the share of a limit that it uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

import numpy as np
import pandas as pd

from cloakbench.schemas.limits import share_of_limit
from cloakbench.schemas.suite import Suite, SuiteFacts
from cloakbench_leaderboards.data import frames
from cloakbench_leaderboards.scores import matching
from cloakbench_leaderboards.scores.setting import Setting
from cloakbench_leaderboards.scores.statistics import Array

QualityAddress = tuple[str, float, str]
"""Protection, strength, metric."""


def quality_means(cells: pd.DataFrame, rows: pd.DataFrame, suite: Suite) -> pd.DataFrame:
    """Returns one row per protection, strength, artist and quality metric: the mean over the artist's images.

    Args:
        cells: What `frames.cells` returns.
        rows: What `frames.rows` returns for the same records.
        suite: The suite, whose first attack's cells count where several share the images.
    """
    images = rows[rows["level"] == "quality"]
    return frames.quality(cells[frames.CELL_COLUMNS], images, [attack.name for attack in suite.attacks])


def by_artist(facts: SuiteFacts, means: pd.DataFrame, artists: Sequence[str]) -> dict[QualityAddress, Array]:
    """Returns the quality of each artist's images by the metrics that have a limit; nothing without targets.

    Args:
        facts: The suite and its metrics.
        means: What `quality_means` returns.
        artists: The artists, in the order of the values.
    """
    if facts.suite.matching is None:
        return {}
    values = {}
    for name in facts.suite.matching.limited:
        chosen = means[means["metric"] == name]
        table = chosen.pivot_table(index=["protection", "strength"], columns="artist", values="value", observed=True)
        for address, row in table.reindex(columns=list(artists)).iterrows():
            protection, strength = cast("tuple[str, float]", address)
            values[str(protection), float(strength), name] = row.to_numpy(dtype=float)
    return values


def shares(facts: SuiteFacts, quality: Mapping[QualityAddress, Array]) -> dict[QualityAddress, Array]:
    """Returns the share of the middle target's limit that each artist's images use, from what `by_artist` returns."""
    if facts.suite.matching is None:
        return {}
    explained = {metric.name: metric for metric in facts.metrics}
    limits = matching.stops(facts.suite.matching)[1].limits
    used = {}
    for address, values in quality.items():
        name = address[2]
        used[address] = np.asarray([share_of_limit(explained[name], value, limits[name]) for value in values])
    return used


class LimitUse(NamedTuple):
    """How visible one artist's images are at an operating point, by the limit that they use most of."""

    artist: str
    metric: str
    """The limit that binds."""
    share: float
    """Share of that limit that is used: 1 at the limit."""
    quality: Mapping[str, float]
    """Every limited metric."""


def used(setting: Setting, protection: str, strength: float) -> list[LimitUse]:
    """Returns which limit of the middle target binds on each artist's images, for artists with all limited metrics."""
    names = tuple(setting.middle.limits)
    addresses = [(protection, strength, name) for name in names]
    if not names or not setting.shares.keys() >= set(addresses):
        return []
    stacked = np.asarray([setting.shares[address] for address in addresses])
    uses = []
    for column, artist in enumerate(setting.grid.artists):
        if np.isfinite(stacked[:, column]).all():
            row = int(stacked[:, column].argmax())
            quality = {}
            for name, address in zip(names, addresses, strict=True):
                quality[name] = float(setting.artist_quality[address][column])
            uses.append(LimitUse(artist, names[row], float(stacked[row, column]), quality))
    return uses
