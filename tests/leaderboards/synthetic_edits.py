"""A synthetic board whose records also edit images."""

from __future__ import annotations

from synthetic import EDIT, EDIT_METRICS, edited, facts, spread

from cloakbench.schemas.record import Record
from cloakbench.schemas.suite import SuiteFacts


def with_edits(facts_: SuiteFacts, records: list[Record]) -> tuple[SuiteFacts, list[Record]]:
    """The same board with an attack that edits beside its others."""
    old = facts_.suite
    plan = old.model_copy(
        update={
            "attacks": [*old.attacks, EDIT],
            "mimicry": {**old.mimicry, "edit": {"strength": 0.5, "steps": 20}},
            "edit_prompts": ["a painting of a boat at night", "a painting of a boat in snow"],
            "metrics": EDIT_METRICS,
        }
    )
    cells = sorted({(r.protection.name, r.artist, r.strength, r.seed) for r in records if r.strength})
    cell_records = []
    for name, artist, strength, seed in cells:
        cell_records.append(
            edited(
                name, artist, [_similarity(name, artist, strength, n) for n in range(2)], strength=strength, seed=seed
            )
        )
    return facts(plan), [*records, *cell_records]


def _similarity(name: str, artist: str, strength: float, index: int) -> float:
    return 1 - (0.03 if name == "placebo" else 0.4 * strength) + spread(name, artist, index)
