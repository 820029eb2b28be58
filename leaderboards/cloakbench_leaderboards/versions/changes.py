"""What changed between two recipes of one cell: which component, in which stage, in which field."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cloakbench.schemas.record import Record
from cloakbench_leaderboards.versions.drift import differences

COMPONENTS = ("code", "weights", "environment", "data", "suite")
"""In the order in which they are told."""
PARENTS = "parents"
"""Follow from what changed before; never a cause."""
CODE = {"version", "protection", "protection_version", "package"}
WEIGHTS = {"surrogate", "perceptual", "model", "models", "judge", "weights", "classifier"}
DATA = {"images", "references", "masks"}


@dataclass(frozen=True, slots=True)
class Change:
    """One field that differs."""

    component: str
    """One of `COMPONENTS`."""
    field: str
    """Stage and path, such as `protect.package` or `environment.torch`."""
    before: str
    """Empty where several cells had different values."""
    after: str
    attacks: tuple[str, ...]
    """Under which it differs."""


def changes(pairs: Iterable[tuple[Record, Record]]) -> list[Change]:
    """Returns what differs between records of the same place, by component; the order of the pairs does not matter."""
    values: dict[tuple[str, str], set[tuple[str, str]]] = defaultdict(set)
    attacks: dict[tuple[str, str], set[str]] = defaultdict(set)
    for before, after in pairs:
        for component, field, *value in _different(before, after):
            values[component, field].add((value[0], value[1]))
            attacks[component, field].add(before.attack.name)
    return [
        Change(*place, *(next(iter(found)) if len(found) == 1 else ("", "")), attacks=tuple(sorted(attacks[place])))
        for place, found in sorted(values.items(), key=lambda item: (COMPONENTS.index(item[0][0]), item[0][1]))
    ]


def sentence(change: Change) -> str:
    """Returns a change in words; long digests are cut.

    Example:
        >>> sentence(Change("weights", "generate.model", "a" * 64, "b" * 64, ("jpeg",)))
        'weights: generate.model aaaaaaaaaaaa → bbbbbbbbbbbb'
    """
    if not change.before and not change.after:
        return f"{change.component}: {change.field}"
    return f"{change.component}: {change.field} {_short(change.before)} → {_short(change.after)}"


def _different(before: Record, after: Record) -> Iterator[tuple[str, str, str, str]]:
    for stage in sorted({*before.components, *after.components}):
        old, new = before.components.get(stage), after.components.get(stage)
        for path, one, other in _leaves(old, new, (stage,)):
            yield _component(path, one, other), ".".join(path), _text(one), _text(other)
    if before.salt_digest != after.salt_digest:
        yield "suite", "salt", before.salt_digest, after.salt_digest
    for name, *value in differences(before.environment, after.environment):
        yield "environment", f"environment.{name}", value[0], value[1]


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
    return isinstance(value, list) and bool(value) and all(isinstance(one, Mapping) for one in value)


def _component(path: tuple[str, ...], before: Any, after: Any) -> str:
    if before is None and after is not None and len(path) == 1:
        return "suite"  # a whole stage came in
    if path[:2] == ("measure", "metrics"):
        return "code" if before is not None and after is not None else "suite"
    names = set(path[1:])
    for component, known in (("code", CODE), ("weights", WEIGHTS), ("data", DATA)):
        if names & known and "parameters" not in names:
            return component
    return "suite"


def _text(value: Any) -> str:
    return "absent" if value is None else str(value)


def _short(value: str) -> str:
    is_digest = len(value) == 64 and set(value) <= set("0123456789abcdef")
    return value[:12] if is_digest else value if len(value) <= 60 else f"{value[:57]}..."
