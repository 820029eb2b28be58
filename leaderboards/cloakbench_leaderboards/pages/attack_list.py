"""The list of attacks: how much protection each leaves, its damage, its cost, and what its mimic knows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from cloakbench.attacks import catalogue
from cloakbench.errors import UserError
from cloakbench.schemas.suite import AttackSpec
from cloakbench_leaderboards import text
from cloakbench_leaderboards.board import editing, sections
from cloakbench_leaderboards.board.tables import clipped, estimate_cell
from cloakbench_leaderboards.parts import addresses
from cloakbench_leaderboards.parts.lookup import Lookup
from cloakbench_leaderboards.scores import aggregates, statistics
from cloakbench_leaderboards.scores.setting import CLEAN
from cloakbench_leaderboards.scores.statistics import Estimate

KNOWLEDGE: Mapping[str, str] = {
    "oblivious": "the published images",
    "clean images": "also unprotected images of the artist",
    "tool": "also the protection itself",
    "pairs": "also images before and after the protection",
}
"""What a mimic knows, in words."""
MIMIC_STAGES = ("countermeasure", "personalise", "generate", "edit")


@dataclass(frozen=True, slots=True)
class ListedAttack:
    """One attack in the list of all."""

    name: str
    link: str
    chain: str
    summary: str
    measured: str
    """The number of protections that were run under it."""
    remaining: str
    """Mean P that they keep; a dash where none was run."""
    value: float | None
    """The same as a number."""
    learned: str
    """The number of artists that it learned from, of those on whom that was tested; empty for one that edits."""
    damage: str
    """P of the images as they are, with its interval."""
    knowledge: str
    """What the mimic knows of the protection."""
    seconds: str
    """Wall time of one cell without its protection."""


def chain(lookup: Lookup, spec: AttackSpec) -> str:
    """Returns the stages of an attack in one line."""
    return sections.chain(spec, editing.COMPARE_STAGE if lookup.is_edit(spec) else "generate")


def listed(lookup: Lookup, spec: AttackSpec) -> ListedAttack:
    """Returns an attack as the list of all shows it."""
    facts = lookup.explained.get(spec.name)
    scores = [] if lookup.is_edit(spec) else [p.value for _, p in remaining(lookup, spec)]
    mean = sum(scores) / len(scores) if scores else None
    total = len(lookup.evidence.submissions)
    return ListedAttack(
        name=text.name(spec.name),
        link=addresses.attack(spec.name),
        chain=chain(lookup, spec),
        summary=text.unmarked(facts.summary) if facts else "",
        measured="" if lookup.is_edit(spec) else f"{len(scores)} of {total}",
        remaining=text.number(mean, 0.05) if mean is not None else text.NONE,
        value=mean,
        learned="" if lookup.is_edit(spec) else lookup.learned_words(spec),
        damage=_clean_loss(lookup, spec),
        knowledge=_knowledge(spec),
        seconds=_seconds(lookup, spec),
    )


def league_place(attack: ListedAttack) -> tuple[bool, float]:
    """Returns a sort key for the league: the attack that leaves least first, those without a number last."""
    return attack.value is None, attack.value or 0.0


def _clean_loss(lookup: Lookup, spec: AttackSpec) -> str:
    """Returns P of the images as they are: how much of the imitation the attack's own countermeasure costs it."""
    for entry in lookup.entries:
        if entry.facts.role == CLEAN:
            point = lookup.point(entry, 0.0, spec.name)
            if point is not None and math.isfinite(point.p.value):
                cell = estimate_cell(clipped(point.p, None, 1.0))
                return f"{cell.text} ({cell.detail})" if cell.detail else cell.text
    return text.NONE


def _knowledge(spec: AttackSpec) -> str:
    """Returns what the mimic knows; a dash for an attack whose stages this version does not have."""
    try:
        return KNOWLEDGE[catalogue.knowledge(spec)]
    except (KeyError, UserError):
        return text.NONE


def _seconds(lookup: Lookup, spec: AttackSpec) -> str:
    """Returns the wall time of one cell: the sum over the mimic's stages of the median over the cells that ran it."""
    by_stage: dict[str, list[float]] = {}
    for record in lookup.evidence.records:
        if record.attack.name == spec.name:
            for stage in MIMIC_STAGES:
                cost = record.cost.get(stage)
                if cost is not None and not cost.cached:
                    by_stage.setdefault(stage, []).append(cost.wall_s)
    return text.number(sum(map(median, by_stage.values()))) if by_stage else text.NONE


def remaining(lookup: Lookup, spec: AttackSpec) -> list[tuple[str, Estimate]]:
    """Returns the label and P of each submission under an attack at the middle stop, the least first."""
    setting = lookup.evidence.setting
    measured = []
    for entry in lookup.entries:
        if entry.is_control:
            continue
        value = aggregates.protection(setting, entry.subject, spec.name, setting.middle)
        p = statistics.estimates(value.artists[None]).rows()[0]
        if math.isfinite(p.value):
            measured.append((entry.label, p))
    return sorted(measured, key=lambda pair: pair[1].value)
