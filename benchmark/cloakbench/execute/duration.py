"""Durations as people write them: `90s`, `30m`, `1h30m`."""

from __future__ import annotations

import math
import re

from cloakbench.errors import UserError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(text: str) -> float:
    """Returns the seconds of a duration such as `2h`, `1h30m` or `90s`; raises UserError for anything else.

    Example:
        >>> seconds("1h30m")
        5400.0
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text)
    total = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if "".join(number + unit for number, unit in parts) != text or not 0 < total < math.inf:
        raise UserError(f"expected --time-limit as 90s, 30m, 2h or 1h30m, got {text!r}", "Give a time above 0.")
    return total
