"""Operating points as addresses: a strength that the suite names, or a target that a strength was searched for."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class PointKind(StrEnum):
    """What an operating point is named by; `target` sorts after `strength`."""

    STRENGTH = "strength"
    TARGET = "target"


class PointAddress(NamedTuple):
    """One operating point of an entry."""

    kind: PointKind
    value: float
    """A strength in (0, 1], or the limit of the suite's matching metric."""

    @property
    def words(self) -> str:
        """The point in words.

        Example:
            >>> PointAddress(PointKind.TARGET, 0.08).words
            'target 0.08'
        """
        return f"{self.kind} {self.value:g}"
