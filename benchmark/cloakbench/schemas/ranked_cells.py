"""Which cells a suite's ranks rest on, and which attacks run beside them."""

from __future__ import annotations

from cloakbench.schemas.kinds import BudgetKind
from cloakbench.schemas.suite import Suite


def rank_attacks(suite: Suite) -> list[str]:
    """Returns the names of the attacks that a rank rests on."""
    if suite.rank_by != "worst-case":
        return [suite.rank_by]
    first = suite.attacks[0]
    names = []
    for attack in suite.attacks:
        is_family = (attack.mimicry, attack.model) == (first.mimicry, first.model)
        if attack is first or (is_family and (not suite.worst_case or attack.name in suite.worst_case)):
            names.append(attack.name)
    return names


def runs_at(suite: Suite, attack: str, budget: BudgetKind, target: float | None) -> bool:
    """Returns whether an attack runs on an entry with strengths at a target, or at a given strength (None)."""
    is_beside = target is None and bool(suite.calibrated) and budget.runs_at_targets
    headline = suite.attacks[0].name if suite.rank_by == "worst-case" else suite.rank_by
    return not is_beside or suite.weaker_against == "all" or attack == headline
