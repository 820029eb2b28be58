"""The paths of all pages, relative to the site's folder."""

from __future__ import annotations

from cloakbench_leaderboards.parts.page import slug

ATTACKS = "attacks/index.html"
PROTECTIONS = "protections/index.html"
COMPARE = "compare.html"
METHOD = "method.html"


def attack(name: str) -> str:
    """Returns the page of an attack.

    Example:
        >>> attack("jpeg")
        'attacks/jpeg.html'
    """
    return f"attacks/{slug(name)}.html"


def protection(name: str) -> str:
    """Returns the page of a protection."""
    return f"protections/{slug(name)}.html"


def plot(attack: str, number: int) -> str:
    """Returns the file of a plot of an attack, by its position on the page."""
    return f"plots/{slug(attack)}-{number + 1}.svg"


def comparison(name: str) -> str:
    """Returns the page that compares a protection with its neighbours."""
    return f"compare/{slug(name)}.html"


def cell(protection: str, attack: str) -> str:
    """Returns the page behind a number: one protection against one attack.

    Example:
        >>> cell("photoguard", "jpeg")
        'cells/photoguard/jpeg.html'
    """
    return f"cells/{slug(protection)}/{slug(attack)}.html"


def image(key: str, kind: str, suffix: str = "webp") -> str:
    """Returns the path of a picture, which follows from the key of a stage."""
    return f"images/{key[:2]}/{key[:32]}-{kind}.{suffix}"
