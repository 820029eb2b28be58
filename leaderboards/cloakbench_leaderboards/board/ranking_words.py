"""Why a board has no ranking, in one sentence for the page and the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType

from cloakbench_leaderboards.scores.barriers import LEAST_RANKED, Barrier
from cloakbench_leaderboards.scores.evidence import Evidence
from cloakbench_leaderboards.scores.standings import WORST_CASE
from cloakbench_leaderboards.scores.statistics import MIN_ARTISTS

_OWN_BARRIERS: Mapping[Barrier, tuple[str, str]] = MappingProxyType(
    {
        Barrier.OVER_TARGET: ("is more visible than the limit allows", "are more visible than the limit allows"),
        Barrier.FEW_SCORES: (
            f"has a score on fewer than {MIN_ARTISTS} artists",
            f"have a score on fewer than {MIN_ARTISTS} artists",
        ),
        Barrier.NO_NUMBER: ("has no score at the limit", "have no score at the limit"),
    }
)
"""What a sentence says of one entry, and of several."""


def no_ranking(evidence: Evidence) -> str:
    """Returns why there is no ranking, from what keeps each entry from a rank; empty where there is a ranking."""
    if evidence.standings.places or not evidence.submissions:
        return ""
    artists = len(evidence.artists)
    measured = f"{artists} artist{'' if artists == 1 else 's'}"
    if evidence.suite.demonstration and artists < MIN_ARTISTS:
        return f"No ranking: this is a demonstration on {measured}, and a rank needs {MIN_ARTISTS}."
    if evidence.suite.demonstration:
        return "No ranking: this is a demonstration, which ranks nothing."
    if artists < MIN_ARTISTS:
        return f"No ranking: there are {measured}, and a rank needs {MIN_ARTISTS}."
    counts = Counter(evidence.standings.unranked[entry.name].barrier for entry in evidence.submissions)
    complete = counts[Barrier.ALONE]
    parts = [f"{complete} of {counts.total()} {'is' if complete == 1 else 'are'}"]
    if counts[Barrier.RUNS_MISSING]:
        parts.append(f"{counts[Barrier.RUNS_MISSING]} {_runs_words(evidence, counts[Barrier.RUNS_MISSING])}")
    for barrier, (singular, plural) in _OWN_BARRIERS.items():
        if counts[barrier]:
            parts.append(f"{counts[barrier]} {singular if counts[barrier] == 1 else plural}")
    return f"No ranking yet: it needs {LEAST_RANKED} complete protections, and {'; '.join(parts)}."


def _runs_words(evidence: Evidence, entries: int) -> str:
    verb = "lacks" if entries == 1 else "lack"
    attacks = len(evidence.setting.worst_attacks) if evidence.suite.rank_by == WORST_CASE else 1
    if attacks == 1:
        return f"{verb} runs under the attack that decides the rank"
    return f"{verb} runs under the {attacks} attacks that decide the rank"
