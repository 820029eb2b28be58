"""What all verbs share: the kinds of flags, and printing."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from cyclopts import Parameter

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
