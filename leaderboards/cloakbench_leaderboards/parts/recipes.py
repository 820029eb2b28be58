"""Where a cell's record came from, as pairs of words: what all cells of a page share is said once."""

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
    environment = record.environment.model_dump()
    known: dict[str, Any] = {
        "made.created": record.created,
        "made.schema": record.schema_version,
        "made.salt": record.salt_digest,
        "made.isolation": record.isolation or "none: in the harness",
        **{f"environment.{name}": value for name, value in environment.items()},
        **{f"attack.version.{name}": version for name, version in record.attack.versions.items()},
        "protection.version": record.protection.version,
        "protection.package": record.protection.package_digest,
        **{f"recipe.{stage}": recipe for stage, recipe in record.components.items()},
        **{f"digests.{stage}": values for stage, values in record.digests.items()},
        **{f"skipped.{metric}": reason for metric, reason in record.skipped.items()},
    }
    return dict(_flat(known))


def shared(found: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Returns what all of them say.

    Example:
        >>> shared([{"a": "1", "b": "2"}, {"a": "1", "b": "3"}])
        {'a': '1'}
    """
    first, *others = found or [{}]
    return {name: value for name, value in first.items() if all(each.get(name) == value for each in others)}


def pairs(found: Mapping[str, str], without: Mapping[str, str]) -> tuple[Pair, ...]:
    """Returns the pairs that are not in `without`, safe to show."""
    return tuple(
        Pair(text.name(name), text.plain(value, LIMIT)) for name, value in found.items() if without.get(name) != value
    )


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yields the leaves of nested mappings; lists of plain values are one leaf."""
    for name, value in values.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}.")
        elif isinstance(value, list) and all(isinstance(each, str) for each in value):
            yield path, "; ".join(value)
        else:
            yield path, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
