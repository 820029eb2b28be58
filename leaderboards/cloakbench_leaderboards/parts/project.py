"""The project's own sites: the addresses that `[project.urls]` of the installed package names."""

from __future__ import annotations

from importlib.metadata import metadata

from cloakbench_leaderboards import text

LEADERBOARD = "Leaderboard"
"""Label of the address that the board is published at."""


def links() -> tuple[tuple[str, str], ...]:
    """Returns addresses and labels, such as of the repository; none where the package names none."""
    shown = []
    for line in metadata("cloakbench").get_all("Project-URL") or ():
        label, _, address = line.partition(", ")
        if text.link(address):
            shown.append((text.link(address), text.plain(label, 40)))
    return tuple(shown)


def leaderboard() -> str:
    """Returns the address that the board is published at; empty where the package names none."""
    for address, label in links():
        if label == LEADERBOARD:
            return address
    return ""
