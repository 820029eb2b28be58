"""The provenance of a record as pairs of words; pairs that all cells of a page share are listed once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cloakbench.schemas.record import Record
from cloakbench_leaderboards import text
from cloakbench_leaderboards.board.view import Pair

LIMIT = 4000
"""Characters of one value: a list of digests is long, a hostile word longer."""


def facts(record: Record) -> dict[str, str]:
    """Returns everything that identifies a record or says how it came about, by a dotted name."""
    groups: dict[str, Mapping[str, Any]] = {
        "made": {
            "created": record.created,
            "schema": record.schema_version,
            "salt": record.salt_digest,
            "isolation": record.isolation or "none: in the harness",
        },
        "environment": record.environment.model_dump(),
        "attack.version": record.attack.versions,
        "protection": {"version": record.protection.version, "package": record.protection.package_digest},
        "recipe": record.components,
        "digests": record.digests,
        "skipped": record.skipped,
    }
    return dict(_flat(groups))


def shared(cells: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Returns the facts that all cells have in common.

    Example:
        >>> shared([{"a": "1", "b": "2"}, {"a": "1", "b": "3"}])
        {'a': '1'}
    """
    first, *others = cells or [{}]
    common = dict(first)
    for other in others:
        for name, value in first.items():
            if other.get(name) != value:
                common.pop(name, None)
    return common


def pairs(facts: Mapping[str, str], without: Mapping[str, str]) -> tuple[Pair, ...]:
    """Returns the facts that are not in `without`, safe to show."""
    shown = []
    for name, value in facts.items():
        if without.get(name) != value:
            shown.append(Pair(text.name(name), text.plain(value, LIMIT)))
    return tuple(shown)


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yields the leaves of nested mappings; a list of texts is one leaf."""
    for name, value in values.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}.")
        elif isinstance(value, list) and all(isinstance(item, str) for item in value):
            yield path, "; ".join(value)
        else:
            yield path, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
