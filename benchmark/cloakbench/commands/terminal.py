"""What all verbs share: the kinds of flags, and printing."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, TypeVar

from cyclopts import Parameter

T = TypeVar("T")
Many = Annotated[list[str], Parameter(consume_multiple=True, negative="")]
Flag = Annotated[bool, Parameter(negative="")]


def print_rows(rows: Sequence[Any], as_json: bool) -> None:
    """Prints dataclasses as aligned columns, or as a JSON list of objects."""
    objects = [dataclasses.asdict(row) for row in rows]
    if as_json:
        print(json.dumps(objects, indent=1, sort_keys=True, ensure_ascii=False))
        return
    widths = [max(len(str(o[k])) for o in objects) for k in objects[0]] if objects else []
    for o in objects:
        print("  ".join(str(v).ljust(w) for v, w in zip(o.values(), widths, strict=True)).rstrip())


def print_values(values: Mapping[str, object], as_json: bool) -> int:
    """Prints named values on one line, or as a JSON object; returns 0, the code of a verb that is done."""
    print(json.dumps(values, sort_keys=True) if as_json else ", ".join(f"{k}: {v}" for k, v in values.items()))
    return 0


def print_told(found: Sequence[T], told: Callable[[T], str], as_json: bool) -> int:
    """Prints a sentence for each dataclass, or all as a JSON list where what is no number is null; returns 0."""
    if as_json:
        print(json.dumps([_finite(dataclasses.asdict(one)) for one in found], sort_keys=True, indent=1))  # type: ignore[call-overload]
    else:
        for one in found:
            print(told(one))
    return 0


def _finite(value: Any) -> Any:
    """Returns a JSON value with None for what JSON has no number for."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list | tuple) else value
