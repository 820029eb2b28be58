"""Which cells of a plan run, and in which order: the most informative first, those together that share a model."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from enum import IntEnum

from cloakbench.cells.plan import Cell
from cloakbench.errors import UserError
from cloakbench.schemas.ranked_cells import rank_attacks
from cloakbench.schemas.suite import Suite

SELECTABLE = ("protection", "artist", "attack", "seed", "strength", "target")


class Round(IntEnum):
    """How much a cell adds to a board that has all earlier rounds."""

    CONTROLS = 0
    """What every score needs: the controls at the first seed."""
    PROTECTIONS = 1
    """One look at everything: each protection at its full strength and at its calibrated points."""
    CONTROLS_AGAIN = 2
    """Further seeds of the controls: they steady every score."""
    WEAKER = 3
    """The other strengths: the rest of the trade-off."""
    PROTECTIONS_AGAIN = 4
    """Further seeds of the protections."""


def arranged(cells: Sequence[Cell], suite: Suite) -> list[Cell]:
    """Returns the cells in the order they are to run in, so that an interrupted run holds a balanced board.

    Cells that a rank rests on come before all others. Both parts run in rounds. In each, first seeds come before later
    ones and strong points before weak ones. Then one attack runs after the other: those on one base model together,
    and those of one mimicry among them, so that models, class images and compiled graphs are used again. Then one
    artist after the other, in each every protection. At any moment the protections of a round are thus at most one
    block of an attack and an artist apart. Attacks, artists and entries keep the order in which the cells first name
    them; what cells compute does not depend on the order.

    Args:
        cells: The cells, in any order.
        suite: Says what a rank rests on.
    """
    strongest = _strongest(cells)
    model = _rank(cells, lambda cell: cell.attack.model)
    mimicry = _rank(cells, lambda cell: cell.attack.mimicry)
    attack = _rank(cells, lambda cell: cell.attack.name)
    artist = _rank(cells, lambda cell: cell.artist.name)
    entry = _rank(cells, lambda cell: cell.entry.facts.name)

    def rank(cell: Cell) -> tuple[float, ...]:
        # A calibrated point comes before given strengths: it decides the rank.
        strength = 2.0 if cell.strength is None else cell.strength
        weaker = 0.0 if _is_first(cell, strongest) else -strength
        block = (model[cell.attack.model], mimicry[cell.attack.mimicry], attack[cell.attack.name])
        who = (artist[cell.artist.name], entry[cell.entry.facts.name])
        return (not decides_rank(cell, suite), _round(cell, strongest), cell.seed, weaker, *block, *who, -strength)

    return sorted(cells, key=rank)


def decides_rank(cell: Cell, suite: Suite) -> bool:
    """Returns whether a rank of the suite's board rests on a cell: on its attack, and on its strength or target."""
    facts, matching = cell.entry.facts, suite.matching
    if cell.attack.name not in rank_attacks(suite):
        return False
    if not facts.role.has_strengths:
        return True
    if matching is None or suite.rank_by != "worst-case":
        return cell.strength == sorted(suite.strengths)[len(suite.strengths) // 2]
    middle = matching.targets[1]
    if middle in matching.calibrated and facts.budget.runs_at_targets:
        return cell.target == middle
    # Interpolated from all strengths.
    return cell.target is None


def _round(cell: Cell, strongest: dict[str, float]) -> Round:
    is_control = cell.entry.facts.role.is_control
    if cell.seed > 0:
        return Round.CONTROLS_AGAIN if is_control else Round.PROTECTIONS_AGAIN
    if not _is_first(cell, strongest):
        return Round.WEAKER
    return Round.CONTROLS if is_control else Round.PROTECTIONS


def _is_first(cell: Cell, strongest: dict[str, float]) -> bool:
    """Returns whether a cell is at the point that is measured first: calibrated, or full strength."""
    return cell.strength is None or cell.strength == strongest[cell.entry.facts.name]


def _strongest(cells: Sequence[Cell]) -> dict[str, float]:
    strongest: dict[str, float] = {}
    for cell in cells:
        if cell.strength is not None:
            name = cell.entry.facts.name
            strongest[name] = max(cell.strength, strongest.get(name, 0.0))
    return strongest


def _rank(cells: Sequence[Cell], value_of: Callable[[Cell], str]) -> dict[str, int]:
    """Returns the rank of each value, in the order in which the cells first have it."""
    ranks: dict[str, int] = {}
    for cell in cells:
        ranks.setdefault(value_of(cell), len(ranks))
    return ranks


def select(cells: Sequence[Cell], only: Sequence[str]) -> list[Cell]:
    """Returns the cells that match every `field=value` of `only`; values of one field are alternatives.

    Raises UserError for another field, and where a value matches nothing.
    """
    values_by_field: dict[str, set[str]] = {}
    for part in only:
        field, _, value = part.partition("=")
        if field not in SELECTABLE or not value:
            raise UserError(f"expected --only FIELD=VALUE with a field of {', '.join(SELECTABLE)}, got {part!r}", "")
        values_by_field.setdefault(field, set()).add(_spelled(field, value))
    chosen = list(cells)
    for field, values in values_by_field.items():
        present = {_value(cell, field) for cell in cells} - {""}
        missing = values - present
        if missing:
            choices = ", ".join(sorted(present)) or "none here"
            raise UserError(f"expected {field} of {choices}, got {', '.join(sorted(missing))}", "Correct --only.")
        chosen = [cell for cell in chosen if _value(cell, field) in values]
    return chosen


def _spelled(field: str, value: str) -> str:
    """Returns a value as `_value` writes it: 0.50 is the strength 0.5."""
    if field in {"strength", "target"}:
        with contextlib.suppress(ValueError):
            return f"{float(value):g}"
    return value


def _value(cell: Cell, field: str) -> str:
    """Returns the value of a field as `--only` writes it; empty for a strength or target that it lacks."""
    values = {
        "protection": cell.entry.facts.name,
        "artist": cell.artist.name,
        "attack": cell.attack.name,
        "seed": str(cell.seed),
        "strength": "" if cell.strength is None else f"{cell.strength:g}",
        "target": "" if cell.target is None else f"{cell.target:g}",
    }
    return values[field]
