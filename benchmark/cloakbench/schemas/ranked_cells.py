"""Which cells a suite's ranks rest on, and which further attacks run."""

from __future__ import annotations

from collections.abc import Sequence

from cloakbench.schemas.kinds import BudgetKind
from cloakbench.schemas.suite import AttackSpec, Suite


def headline(suite: Suite, attacks: Sequence[AttackSpec]) -> AttackSpec:
    """Returns the attack of the headline: the suite's own choice, or the first where it ranks by the worst case."""
    for attack in attacks:
        if attack.name == suite.rank_by:
            return attack
    return attacks[0]


def family(suite: Suite, attacks: Sequence[AttackSpec]) -> list[AttackSpec]:
    """Returns the attacks that differ from the headline's in the countermeasure alone, itself among them."""
    first = headline(suite, attacks)
    same = []
    for attack in attacks:
        if (attack.mimicry, attack.model) == (first.mimicry, first.model):
            same.append(attack)
    return same


def worst_attacks(suite: Suite, attacks: Sequence[AttackSpec]) -> list[AttackSpec]:
    """Returns the attacks of the worst case: the headline's, and those of its family that the suite names for it."""
    same, first = family(suite, attacks), headline(suite, attacks)
    if not suite.worst_case:
        return same
    return [attack for attack in same if attack is first or attack.name in suite.worst_case]


def rank_attacks(suite: Suite) -> list[str]:
    """Returns the names of the attacks that a rank rests on."""
    if suite.rank_by != "worst-case":
        return [suite.rank_by]
    return [attack.name for attack in worst_attacks(suite, suite.attacks)]


def runs_at(suite: Suite, attack: str, budget: BudgetKind, target: float | None) -> bool:
    """Returns whether an attack runs on an entry with strengths at a target, or at a given strength (None)."""
    is_beside = target is None and bool(suite.calibrated) and budget.runs_at_targets
    is_headline = attack == headline(suite, suite.attacks).name
    return not is_beside or suite.weaker_against == "all" or is_headline
