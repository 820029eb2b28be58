"""Signs in a board's own numbers that an entry may not mean what it seems to mean; they refuse nothing.

The idea is AutoAttack's (Croce and Hein 2020, arXiv 2003.01690): what no honest defence should show asks for a look.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cloakbench_leaderboards import text
from cloakbench_leaderboards.scores import ranking, statistics
from cloakbench_leaderboards.scores.evidence import BoardEntry, Evidence
from cloakbench_leaderboards.scores.statistics import Array

RAISES, NOISE = "raises P", "no better than noise"
RAISE = "raise P"
"""The same of several countermeasures."""


def suspicions(evidence: Evidence) -> dict[str, tuple[tuple[str, str], ...]]:
    """Returns kind and words of each sign of a submission by name; none with too few artists for an interval."""
    found: dict[str, tuple[tuple[str, str], ...]] = {}
    for name, kind, words in (*_raised(evidence), *_as_noise(evidence)):
        found[name] = (*found.get(name, ()), (kind, words))
    return found


Sign = tuple[str, str, str]
"""Name of the entry, kind, words."""


def _raised(evidence: Evidence) -> Iterator[Sign]:
    grid, tests = evidence.scores.grid, list(_tests(evidence))
    if not tests:
        return
    p = np.asarray([_difference(evidence, grid.p, test) for test in tests])
    effect = np.asarray([_difference(evidence, grid.effect, test) for test in tests])
    found, beyond = statistics.estimates(p), statistics.estimates(effect)
    real = ranking.discoveries(ranking.paired_p(p))
    raising: dict[str, list[str]] = {}
    for number, (entry, _, attack, _) in enumerate(tests):
        if real[number] and found.low[number] > 0 and beyond.low[number] > 0:
            raising.setdefault(entry.name, []).append(text.name(attack))
    for name, attacks in raising.items():
        yield name, RAISES, f"{', '.join(attacks)} {RAISES if len(attacks) == 1 else RAISE}"


Test = tuple[BoardEntry, float, str, str]
"""Entry, strength, attack with a countermeasure, the same attack without."""


def _tests(evidence: Evidence) -> Iterator[Test]:
    plain = {(a.mimicry, a.model): a.name for a in evidence.ranked if a.countermeasure is None}
    for entry in evidence.entries:
        if entry.is_control:
            continue
        strength = evidence.focus(entry)
        for attack in evidence.ranked:
            base = plain.get((attack.mimicry, attack.model))
            if attack.countermeasure is None or base is None:
                continue
            if all((entry.name, strength, name) in evidence.scores.grid.rows for name in (attack.name, base)):
                yield entry, strength, attack.name, base


def _difference(evidence: Evidence, values: Array, test: Test) -> Array:
    """Returns what each artist contributes to the difference of a score with and without the countermeasure."""
    entry, strength, attack, plain = test
    grid = evidence.scores.grid
    row, base = grid.rows[entry.name, strength, attack], grid.rows[entry.name, strength, plain]
    weight = grid.denominator[base]
    return statistics.contributions((values[row] - values[base]) * weight, weight)


def _as_noise(evidence: Evidence) -> Iterator[Sign]:
    found = evidence.standings
    noise = next((e.name for e in evidence.entries if e.facts.role == "random-noise" and e.name in found.names), None)
    if noise is None:
        return
    values = dict(zip(found.names, (np.asarray(v.artists, dtype=float) for v in found.rank_column.values), strict=True))
    for entry in evidence.entries:
        if entry.is_control or entry.name not in values or values[entry.name].shape != values[noise].shape:
            continue
        ahead = statistics.estimates((values[entry.name] - values[noise])[None]).at(0)
        if ahead.has_interval and ahead.low <= 0:
            yield entry.name, NOISE, NOISE
