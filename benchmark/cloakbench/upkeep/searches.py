"""The searches for strengths that records tell of, as the store of the run that wrote the records held them."""

from __future__ import annotations

from collections.abc import Iterable

from cloakbench.schemas.record import Calibration, Record
from cloakbench.store import key as keys

Address = tuple[str, str]
"""Key of the stage `calibrate`, and environment class."""


def restore(records: Iterable[Record]) -> dict[Address, Calibration]:
    """Returns each search that the records tell of, in the state that the newest of its records saw.

    Records of one search differ in state where it was interrupted and went on later: the state with the most tries, and
    with the fractional step, is the last one.
    """
    searches: dict[Address, Calibration] = {}
    for record in sorted(records, key=lambda record: record.created):
        search = _read(record)
        if search is None:
            continue
        address = (keys.digest(record.components["calibrate"]), record.environment.env_class)
        if address not in searches or _state(search) >= _state(searches[address]):
            searches[address] = search
    return searches


def _read(record: Record) -> Calibration | None:
    """Returns the search that a record tells of; None where it has none, or not what the search cost."""
    recipes, cost = record.recipes, record.cost.get("calibrate")
    if recipes is None or recipes.calibrate is None or cost is None or not record.calibration:
        return None
    # The fractional step makes the protected images: a record without them has the strength before the step.
    is_fitted = recipes.calibrate.levels is not None and "protect" in record.digests
    return Calibration(
        tries=record.calibration,
        cost=cost.model_copy(update={"cached": False}),
        fitted=record.strength if is_fitted else None,
    )


def _state(search: Calibration) -> tuple[int, bool]:
    return len(search.tries), search.fitted is not None
