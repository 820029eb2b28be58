"""All that a board is drawn from, worked out once: frames, scores, entries and raw values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, cast

import pandas as pd

from benchmark.cells.record import ProtectionFacts, Record
from benchmark.suites.schema import AttackSpec, MetricFacts, Suite, SuiteFacts
from leaderboards import coverage, frames, statistics, text
from leaderboards.coverage import Gap
from leaderboards.scores import Scores, score
from leaderboards.selection import select
from leaderboards.source import Damaged, Loaded
from leaderboards.statistics import Estimate

CONTROLS = ("identity", "placebo", "random-noise", "floor")
Address = tuple[str, float, str, str]
"""Protection, strength, attack, metric."""


class Entry(NamedTuple):
    """One protection of the board, or a control."""

    name: str
    label: str
    """The name, safe and short enough for a table."""
    facts: ProtectionFacts
    strengths: tuple[float, ...]

    @property
    def is_control(self) -> bool:
        """Whether it is one of the arms that every board holds."""
        return self.facts.role in CONTROLS


@dataclass(frozen=True, slots=True)
class Evidence:
    """Immutable input of the pages."""

    facts: SuiteFacts
    records: list[Record]
    left_out: dict[str, int]
    damaged: list[Damaged]
    artists: tuple[str, ...]
    entries: list[Entry]
    scores: Scores
    gaps: list[Gap]
    raw: dict[Address, Estimate]
    """Mean over artists; the floor stands under every attack of its mimicry and model."""
    change: dict[Address, Estimate]
    """Mean over artists of the paired difference to the clean arm on the same attack."""
    quality: dict[tuple[str, float, str], Estimate]
    """By protection, strength, metric."""

    @property
    def suite(self) -> Suite:
        """The frozen protocol."""
        return self.facts.suite

    @property
    def ranked(self) -> list[AttackSpec]:
        """The attacks that imitate the style: scores are made of them."""
        return _ranked(self.facts)

    @property
    def edits(self) -> list[AttackSpec]:
        """The attacks that edit images, which no score is made of."""
        return [attack for attack in self.suite.attacks if attack not in self.ranked]

    @property
    def rank_attack(self) -> str:
        """The attack that the headline shows: the suite's own choice, or its first where it ranks by the worst case."""
        names = [attack.name for attack in self.ranked]
        return self.suite.rank_by if self.suite.rank_by in names else names[0]

    @property
    def middle(self) -> float:
        """The strength that carries the rank."""
        return sorted(self.suite.strengths)[len(self.suite.strengths) // 2]

    def metric(self, name: str) -> MetricFacts | None:
        """Returns what the suite's facts say about a metric."""
        return next((each for each in self.facts.metrics if each.name == name), None)

    def focus(self, entry: Entry) -> float:
        """Returns the strength at which an entry's raw values stand in the headline: the middle, or its nearest."""
        return min(entry.strengths, key=lambda strength: (abs(strength - self.middle), strength))


def gather(loaded: Loaded) -> Evidence:
    """Returns the evidence in a set of records; needs at least one."""
    chosen = select(loaded.records)
    suite = loaded.facts.suite
    cells = frames.cells(chosen.records, suite.metrics.primary)
    artists = tuple(suite.artists or sorted({each.artist for each in chosen.records}))
    scores = score(cells, _ranked(loaded.facts), artists)
    values = _addressed(cells, frames.metrics(chosen.records), suite)
    quality = frames.quality(chosen.records, [attack.name for attack in suite.attacks])
    return Evidence(
        facts=loaded.facts,
        records=chosen.records,
        left_out=chosen.left_out,
        damaged=loaded.damaged,
        artists=artists,
        entries=_entries(chosen.records, scores, suite),
        scores=scores,
        gaps=coverage.gaps(cells, suite, artists),
        raw=_over_artists(values, "value"),
        change=_over_artists(_paired(values), "change"),
        quality={
            cast("tuple[str, float, str]", place): statistics.mean(group["value"].tolist())
            for place, group in quality.groupby(["protection", "strength", "metric"])
        },
    )


def _ranked(facts: SuiteFacts) -> list[AttackSpec]:
    beside = {attack.name for attack in facts.attacks if not attack.ranked}
    return [attack for attack in facts.suite.attacks if attack.name not in beside]


def _addressed(cells: pd.DataFrame, metrics: pd.DataFrame, suite: Suite) -> pd.DataFrame:
    attacks = pd.DataFrame(
        [(each.name, each.mimicry, each.model) for each in suite.attacks], columns=["attack", "mimicry", "model"]
    )
    floor = cells[cells["role"] == "floor"].drop(columns="attack").merge(attacks, on=["mimicry", "model"])
    known = cells[(cells["role"] != "floor") & cells["attack"].isin(attacks["attack"])]
    both = pd.concat([known, floor[known.columns]], ignore_index=True)
    return both[both["status"] == "ok"].merge(metrics, on="key")


def _paired(values: pd.DataFrame) -> pd.DataFrame:
    place = ["attack", "artist", "seed", "metric"]
    clean = values[values["role"] == "identity"].drop_duplicates(place)[[*place, "value"]]
    paired = values.merge(clean.rename(columns={"value": "clean"}), on=place)
    return paired.assign(change=paired["value"] - paired["clean"])


def _over_artists(values: pd.DataFrame, column: str) -> dict[Address, Estimate]:
    address = ["protection", "strength", "attack", "metric"]
    means = values.groupby([*address, "artist"])[column].mean().reset_index()
    return {cast("Address", place): statistics.mean(group[column].tolist()) for place, group in means.groupby(address)}


def _entries(records: list[Record], scores: Scores, suite: Suite) -> list[Entry]:
    newest: dict[str, ProtectionFacts] = {}
    strengths: dict[str, set[float]] = {}
    for each in records:
        newest[each.protection.name] = each.protection
        strengths.setdefault(each.protection.name, set()).add(each.strength)
    entries = [
        Entry(name, text.name(name), facts, tuple(sorted(strengths[name]))) for name, facts in sorted(newest.items())
    ]
    middle = sorted(suite.strengths)[len(suite.strengths) // 2]

    def order(entry: Entry) -> tuple[int, float, str]:
        if entry.is_control:
            return (1 + CONTROLS.index(entry.facts.role), 0.0, entry.name)
        point = scores.points.get((entry.name, middle, suite.rank_by))
        value = point.p.value if point else math.nan
        return (0, math.inf if math.isnan(value) else -value, entry.name)

    return sorted(entries, key=order)
