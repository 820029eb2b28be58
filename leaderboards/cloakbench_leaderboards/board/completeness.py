"""The measured share of each entry, the runs that its rank still needs, and the order of the front page."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from cloakbench.schemas.kinds import PointState, Status
from cloakbench.schemas.suite import AttackSpec
from cloakbench_leaderboards.data.frames import CellStatus
from cloakbench_leaderboards.scores import aggregates, standings
from cloakbench_leaderboards.scores.barriers import Barrier
from cloakbench_leaderboards.scores.evidence import BoardEntry, Evidence
from cloakbench_leaderboards.scores.setting import Value
from cloakbench_leaderboards.scores.standings import WORST_CASE
from cloakbench_leaderboards.scores.statistics import Estimate


class Completeness(NamedTuple):
    """The runs of one entry."""

    measured: int
    failed: int
    planned: int
    needed: int
    """Missing runs that alone keep the entry from a rank; 0 where something else does."""

    @property
    def share(self) -> float:
        """The measured share of the plan, from 0 to 1."""
        return self.measured / self.planned if self.planned else 0.0


class ProvisionalOrder(NamedTuple):
    """The entries of the front page."""

    has_ranking: bool
    complete: list[BoardEntry]
    """In the order of their ranks, or in a provisional order."""
    incomplete: list[BoardEntry]
    controls: list[BoardEntry]


def completeness(evidence: Evidence) -> Mapping[str, Completeness]:
    """Returns the runs of every entry by name."""
    recorded = Counter(record.protection.name for record in evidence.records)
    measured = Counter(record.protection.name for record in evidence.records if record.status is Status.OK)
    absent: Counter[str] = Counter()
    for gap in evidence.gaps:
        if gap.status is CellStatus.ABSENT:
            absent[gap.protection] += gap.cells
    by_name = {}
    for entry in evidence.entries:
        name = entry.name
        failed = recorded[name] - measured[name]
        needed = 0 if entry.is_control else _needed(evidence, entry)
        by_name[name] = Completeness(measured[name], failed, recorded[name] + absent[name], needed)
    return by_name


def _needed(evidence: Evidence, entry: BoardEntry) -> int:
    reason = evidence.standings.unranked.get(entry.name)
    if reason is None or reason.barrier is not Barrier.RUNS_MISSING:
        return 0
    setting = evidence.setting
    attacks = setting.worst_attacks if evidence.suite.rank_by == WORST_CASE else [setting.attack]
    needed = 0
    for attack in attacks:
        value = aggregates.protection(setting, entry.subject, attack.name, setting.middle)
        if value.state is PointState.NOT_REACHED:
            continue
        unmeasured = set(_artists_without(evidence, value)) - _without_signal(evidence, attack)
        needed += len(unmeasured) * evidence.suite.seeds.protected
    return needed


def _artists_without(evidence: Evidence, value: Value) -> list[str]:
    is_measured = np.isfinite(value.artists)
    unscored = []
    for artist, has_score in zip(evidence.artists, is_measured, strict=True):
        if not has_score:
            unscored.append(artist)
    return unscored


def _without_signal(evidence: Evidence, attack: AttackSpec) -> set[str]:
    artists = set()
    for signal in evidence.scores.signals:
        if signal.reason and (signal.mimicry, signal.model) == (attack.mimicry, attack.model):
            artists.add(signal.artist)
    return artists


def plain_number(evidence: Evidence, name: str) -> tuple[Value, Estimate]:
    """Returns P of an entry at the middle stop against the board's attack, the number that most entries have."""
    return evidence.standings.value(standings.stop_key(evidence.setting.middle), name)


def order(evidence: Evidence) -> ProvisionalOrder:
    """Returns the order of the front page.

    With at least two ranked entries it is the ranking. Otherwise the order is provisional: entries by the number that
    most of them have, P at the middle stop.
    """
    submissions = evidence.submissions
    ranked = [entry for entry in submissions if entry.name in evidence.standings.places]
    if ranked:
        rest = []
        for entry in submissions:
            if entry not in ranked:
                rest.append(entry)
        return ProvisionalOrder(True, ranked, rest, evidence.controls)
    values = {entry.name: plain_number(evidence, entry.name) for entry in submissions}
    comparable = []
    for entry in submissions:
        value, estimate = values[entry.name]
        if value.is_whole and math.isfinite(estimate.value):
            comparable.append(entry)
    comparable.sort(key=lambda entry: -values[entry.name][1].value)
    rest = []
    for entry in submissions:
        if entry not in comparable:
            rest.append(entry)
    return ProvisionalOrder(False, comparable, rest, evidence.controls)
