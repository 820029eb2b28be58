"""A hub without a network, for tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cloakbench.models.hub import NotOnHub, Snapshot

COMMIT = "f" * 40


class Hub:
    """Has the repositories it is given, at one commit, and remembers what it was asked."""

    def __init__(self, folders: Mapping[str, Path], fault: Exception | None = None) -> None:
        self.folders = folders
        self.fault = fault or NotOnHub("not here")
        self.asked: list[tuple[str, str]] = []

    def __call__(self, mirror: str, revision: str, /) -> Snapshot:
        self.asked.append((mirror, revision))
        if mirror not in self.folders:
            raise self.fault
        return Snapshot(self.folders[mirror], COMMIT)
