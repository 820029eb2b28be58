"""Signs in a board's own numbers that an entry may be misread; they refuse nothing.

The idea is AutoAttack's (Croce and Hein 2020, arXiv 2003.01690): flag results that no honest defence shows.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cloakbench.schemas.kinds import Role
from cloakbench_leaderboards import text
from cloakbench_leaderboards.scores import ranking, statistics
from cloakbench_leaderboards.scores.aggregates import protection, worst
from cloakbench_leaderboards.scores.evidence import BoardEntry, Evidence
from cloakbench_leaderboards.scores.setting import EntryPoints
from cloakbench_leaderboards.scores.standings import WORST_CASE
from cloakbench_leaderboards.scores.statistics import Array

RAISES, NOISE = "raises P", "no better than noise"
RAISE = "raise P"
"""The same of several countermeasures."""


def suspicions(evidence: Evidence) -> dict[str, tuple[tuple[str, str], ...]]:
    """Returns kind and words of each sign of a submission by name; none with too few artists for an interval."""
    signs: dict[str, tuple[tuple[str, str], ...]] = {}
    for name, kind, words in (*_raised(evidence), *_as_noise(evidence)):
        signs[name] = (*signs.get(name, ()), (kind, words))
    return signs


Sign = tuple[str, str, str]
"""Name of the entry, kind, words."""


def _raised(evidence: Evidence) -> Iterator[Sign]:
    grid, tests = evidence.scores.grid, list(_tests(evidence))
    if not tests:
        return
    p = np.asarray([_difference(evidence, grid.p, test) for test in tests])
    effect = np.asarray([_difference(evidence, grid.effect, test) for test in tests])
    p_low, effect_low = statistics.difference_estimates(p).low, statistics.difference_estimates(effect).low
    is_real = ranking.discoveries(ranking.paired_p(p)) & (p_low > 0) & (effect_low > 0)
    raising: dict[str, list[str]] = {}
    for (entry, _, attack, _), rises in zip(tests, is_real, strict=True):
        if rises:
            raising.setdefault(entry.name, []).append(text.name(attack))
    for name, attacks in raising.items():
        yield name, RAISES, f"{', '.join(attacks)} {RAISES if len(attacks) == 1 else RAISE}"


Test = tuple[BoardEntry, float, str, str]
"""Entry, strength, attack with a countermeasure, the same attack without."""


def _tests(evidence: Evidence) -> Iterator[Test]:
    plain = {}
    for a in evidence.ranked:
        if a.countermeasure is None:
            plain[(a.mimicry, a.model)] = a.name
    rows = evidence.scores.grid.rows
    for entry in evidence.entries:
        if entry.is_control:
            continue
        strength = evidence.focus(entry)
        for attack in evidence.ranked:
            base = plain.get((attack.mimicry, attack.model))
            if attack.countermeasure is None or base is None:
                continue
            if (entry.name, strength, attack.name) in rows and (entry.name, strength, base) in rows:
                yield entry, strength, attack.name, base


def _difference(evidence: Evidence, values: Array, test: Test) -> Array:
    """Returns what each artist contributes to the difference of a score with and without the countermeasure."""
    entry, strength, attack, plain = test
    grid = evidence.scores.grid
    row, base = grid.rows[entry.name, strength, attack], grid.rows[entry.name, strength, plain]
    weight = grid.denominator[base]
    return statistics.contributions((values[row] - values[base]) * weight, weight)


def _as_noise(evidence: Evidence) -> Iterator[Sign]:
    """Yields the submissions that are not better than random noise under the attacks that both have."""
    controls = [entry.subject for entry in evidence.entries_with(Role.RANDOM_NOISE)]
    for entry in evidence.entries:
        if entry.is_control or not controls:
            continue
        values = _same_attacks(evidence, entry.subject, controls[0])
        if values is None:
            continue
        ahead = statistics.difference_estimates((values[0] - values[1])[None]).at(0)
        if ahead.has_interval and ahead.low <= 0:
            yield entry.name, NOISE, NOISE


def _same_attacks(evidence: Evidence, subject: EntryPoints, noise: EntryPoints) -> tuple[Array, Array] | None:
    """Returns the number that decides the rank for both, over the attacks that both have; None without a shared one.

    A minimum over more attacks is lower by construction.
    """
    standings, setting = evidence.standings, evidence.setting
    if setting.suite.rank_by != WORST_CASE:
        rows = standings.rows
        values = standings.rank_column.values
        if subject.name not in rows or noise.name not in rows:
            return None
        return values[rows[subject.name]].artists, values[rows[noise.name]].artists
    shared = []
    for attack in setting.worst_attacks:
        sides = []
        for side in (subject, noise):
            sides.append(protection(setting, side, attack.name, setting.middle).artists)
        if np.isfinite(sides).any(1).all():
            shared.append(attack)
    if not shared:
        return None
    return worst(setting, subject, setting.middle, shared).artists, worst(
        setting, noise, setting.middle, shared
    ).artists
