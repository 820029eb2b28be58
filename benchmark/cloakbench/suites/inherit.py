"""Suite files that say only what differs: from another suite (`extends`), or from another table (`like`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cloakbench.errors import UserError

EXTENDS, LIKE = "extends", "like"
STAGES = ("countermeasures", "mimicry")
"""Tables whose tables are the settings of a stage each."""
Document = Mapping[str, Any]


def complete(document: Document, read: Callable[[str], Document]) -> dict[str, Any]:
    """Returns a suite's document with the values that it takes over.

    `extends = "mini"` takes over all of that suite. Tables are merged key by key; lists and other values are replaced,
    so that a suite with attacks of its own has no others. `like = "dreambooth"` in the table of a stage takes over the
    settings of that stage.

    Args:
        document: What the suite's file says.
        read: Returns the document of a suite of the package by its name.

    Raises:
        UserError: The suite extends one that extends another, or a table is like one that is not there.
    """
    own = dict(document)
    base = own.pop(EXTENDS, None)
    if base is not None:
        own = _extended(own, str(base), read)
    for kind in STAGES:
        if isinstance(own.get(kind), Mapping):
            own[kind] = _alike(kind, own[kind])
    return own


def _extended(own: Document, base: str, read: Callable[[str], Document]) -> dict[str, Any]:
    values = read(base)
    if EXTENDS in values:
        raise UserError(
            f"expected a suite that extends no other, got {base!r}, which extends {values[EXTENDS]!r}",
            f"Write {EXTENDS} = {values[EXTENDS]!r}, and what differs.",
        )
    return _merged(values, own)


def _merged(base: Document, own: Document) -> dict[str, Any]:
    """Returns the values of `base` with those of `own` in their place, table by table."""
    merged = dict(base)
    for name, value in own.items():
        is_table = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
        merged[name] = _merged(merged[name], value) if is_table else value
    return merged


def _alike(kind: str, tables: Document) -> dict[str, Any]:
    """Returns the tables of a kind of stage, each with the values of the one that it is like."""
    completed = dict(tables)
    for name, table in tables.items():
        if isinstance(table, Mapping) and LIKE in table:
            other = table[LIKE]
            if other == name or not isinstance(tables.get(other), Mapping) or LIKE in tables[other]:
                raise UserError(
                    f"expected the name of a table [{kind}.…] without {LIKE} in [{kind}.{name}], got {other!r}",
                    "Correct the suite file.",
                )
            completed[name] = {**tables[other], **table}
            del completed[name][LIKE]
    return completed
