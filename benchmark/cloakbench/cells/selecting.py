"""Which cells of a plan a user asks for."""

from __future__ import annotations

from collections.abc import Sequence

from cloakbench.cells.plan import Cell
from cloakbench.errors import UserError

SELECTABLE = ("protection", "artist", "attack", "seed", "strength", "target")


def select(cells: Sequence[Cell], only: Sequence[str]) -> list[Cell]:
    """Returns the cells that match every `field=value` of `only`; values of one field are alternatives.

    Raises UserError for another field, and where a value matches nothing.
    """
    wanted: dict[str, set[str]] = {}
    for part in only:
        field, _, value = part.partition("=")
        if field not in SELECTABLE or not value:
            raise UserError(f"expected --only FIELD=VALUE with a field of {', '.join(SELECTABLE)}, got {part!r}", "")
        wanted.setdefault(field, set()).add(value)
    for field, values in wanted.items():
        found = {_value(cell, field) for cell in cells} - {""}
        missing = values - found
        if missing:
            known = ", ".join(sorted(found)) or "none here"
            raise UserError(f"expected {field} of {known}, got {', '.join(sorted(missing))}", "Correct --only.")
    return [cell for cell in cells if all(_value(cell, field) in values for field, values in wanted.items())]


def _value(cell: Cell, field: str) -> str:
    """Returns what a field is called in `--only`; empty for a strength that is sought, and a target that is not."""
    values = {
        "protection": cell.entry.facts.name,
        "artist": cell.artist.name,
        "attack": cell.attack.name,
        "seed": str(cell.seed),
        "strength": "" if cell.strength is None else f"{cell.strength:g}",
        "target": "" if cell.target is None else f"{cell.target:g}",
    }
    return values[field]
