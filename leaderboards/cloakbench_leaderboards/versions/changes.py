"""What changed between two recipes of one cell: which component, in which stage, in which field."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cloakbench.schemas.record import Record
from cloakbench_leaderboards.versions.drift import differences


class Component(StrEnum):
    """What a difference between two recipes is of, in the order in which differences are listed."""

    CODE = "code"
    WEIGHTS = "weights"
    ENVIRONMENT = "environment"
    DATA = "data"
    SUITE = "suite"


PARENTS = "parents"
"""Field of a recipe that follows from earlier stages; never a cause."""
CODE = {"version", "protection", "protection_version", "package"}
WEIGHTS = {"surrogate", "perceptual", "model", "models", "judge", "weights", "classifier"}
DATA = {"images", "references", "masks"}


@dataclass(frozen=True, slots=True)
class Change:
    """One field that differs."""

    component: Component
    field: str
    """Stage and path, such as `protect.package` or `environment.torch`."""
    before: str
    """Empty where several cells had different values."""
    after: str
    attacks: tuple[str, ...]
    """Under which it differs."""


def changes(pairs: Iterable[tuple[Record, Record]]) -> list[Change]:
    """Returns what differs between records of the same cell, by component; the order of the pairs does not matter."""
    values: dict[tuple[Component, str], set[tuple[str, str]]] = defaultdict(set)
    attacks: dict[tuple[Component, str], set[str]] = defaultdict(set)
    for old, new in pairs:
        for component, field, before, after in _different(old, new):
            values[component, field].add((before, after))
            attacks[component, field].add(old.attack.name)
    differing = []
    for component, field in sorted(values, key=_order):
        pairs_of_values = values[component, field]
        before, after = next(iter(pairs_of_values)) if len(pairs_of_values) == 1 else ("", "")
        differing.append(Change(component, field, before, after, tuple(sorted(attacks[component, field]))))
    return differing


def sentence(change: Change) -> str:
    """Returns a change in words; long digests are cut.

    Example:
        >>> sentence(Change(Component.WEIGHTS, "generate.model", "a" * 64, "b" * 64, ("jpeg",)))
        'weights: generate.model aaaaaaaaaaaa → bbbbbbbbbbbb'
    """
    return f"{change.component}: {field_words(change)}"


def field_words(change: Change) -> str:
    """Returns the field that changed with its values, without the component."""
    if not change.before and not change.after:
        return change.field
    return f"{change.field} {_short(change.before)} → {_short(change.after)}"


def _order(key: tuple[Component, str]) -> tuple[int, str]:
    return list(Component).index(key[0]), key[1]


def _different(old: Record, new: Record) -> Iterator[tuple[Component, str, str, str]]:
    """Yields component, field, value before and value after of everything that differs.

    The recorded JSON is read as it is: records of other versions of the harness may have other fields.
    """
    for stage in sorted({*old.components, *new.components}):
        for path, before, after in _leaves(old.components.get(stage), new.components.get(stage), (stage,)):
            yield _component(path, before, after), ".".join(path), _text(before), _text(after)
    if old.salt_digest != new.salt_digest:
        yield Component.SUITE, "salt", old.salt_digest, new.salt_digest
    for difference in differences(old.environment, new.environment):
        yield Component.ENVIRONMENT, f"environment.{difference.name}", difference.before, difference.after


def _leaves(before: Any, after: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """Yields path and both values of every difference; lists are compared as a whole, but for those of recipes."""
    if before == after:
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in sorted({*before, *after} - {PARENTS}):
            yield from _leaves(before.get(name), after.get(name), (*path, name))
    elif _are_recipes(before) and _are_recipes(after) and len(before) == len(after):
        for old, new in zip(before, after, strict=True):
            yield from _leaves(old, new, path)
    else:
        yield path, before, after


def _are_recipes(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, Mapping) for item in value)


def _component(path: tuple[str, ...], before: Any, after: Any) -> Component:
    if before is None and after is not None and len(path) == 1:
        return Component.SUITE  # a whole stage came in
    if path[:2] == ("measure", "metrics"):
        return Component.CODE if before is not None and after is not None else Component.SUITE
    names = set(path[1:])
    for component, fields in ((Component.CODE, CODE), (Component.WEIGHTS, WEIGHTS), (Component.DATA, DATA)):
        if names & fields and "parameters" not in names:
            return component
    return Component.SUITE


def _text(value: Any) -> str:
    return "absent" if value is None else str(value)


def _short(value: str) -> str:
    is_digest = len(value) == 64 and set(value) <= set("0123456789abcdef")
    return value[:12] if is_digest else value if len(value) <= 60 else f"{value[:57]}..."
