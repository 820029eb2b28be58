"""Types of the fields of records: what a stranger may write into one, before anything reads it.

Numbers are finite. Keys and environment classes are hexadecimal, so that a path made of them stays in its folder.
Strings have a limit and no character that hides, reorders or replaces what a page or a terminal shows.
"""

from __future__ import annotations

import datetime
import json
import re
from functools import partial
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, ValidationInfo

from cloakbench.printable import replace_hidden

MAX_VALUES = 10_000
"""The largest number of values of one metric, or of digests of one stage, in a record."""
LARGEST = 1e30
"""The largest size of a measured number."""
_LINE_ENDS = "\n\t"
_KEY = re.compile(r"[0-9a-f]{64}")


def clean(text: str, limit: int, allowed: str = "") -> str:
    r"""Returns at most `limit` characters of a text, with U+FFFD for each hidden character that is not `allowed`.

    Example:
        >>> clean("a\tb", 10), clean("abcdef", 4)
        ('a�b', 'abc…')
    """
    short = text if len(text) <= limit else text[: limit - 1] + "\u2026"
    return replace_hidden(short, allowed)


def _check_text(value: Any, info: ValidationInfo, limit: int, allowed: str) -> Any:
    """Returns a clean string as it is. Another one is cleaned if code of this process made it, else refused."""
    if not isinstance(value, str):
        return value
    cleaned = clean(value, limit, allowed)
    if info.mode == "json" and cleaned != value:
        raise ValueError(f"expected at most {limit} characters and none that is hidden, got {len(value)} characters")
    return cleaned


def _check_time(text: str) -> str:
    """Returns the text; raises ValueError for a day or an hour that no calendar has."""
    datetime.datetime.fromisoformat(text)
    return text


def _check_recipe(recipe: dict[str, Any]) -> dict[str, Any]:
    """Returns a recipe; raises ValueError where it has no key, or names parents otherwise than by their keys."""
    json.dumps(recipe, allow_nan=False)
    parents = recipe.get("parents", {})
    if not isinstance(parents, dict):
        raise ValueError("expected the keys of parents by their names")
    for parent in parents.values():
        if not isinstance(parent, str) or not _KEY.fullmatch(parent):
            raise ValueError("expected 64 hexadecimal digits as the key of a parent")
    return recipe


def _text(limit: int, allowed: str = "") -> BeforeValidator:
    return BeforeValidator(partial(_check_text, limit=limit, allowed=allowed))


Key = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 in hexadecimal: of a recipe, of an image's pixels."""
OptionalDigest = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$")]
"""A SHA-256 in hexadecimal, or empty where there is nothing to digest."""
EnvClass = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{12}$")]
"""An environment class: the first 12 hexadecimal digits of a SHA-256."""
Commit = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})?$")]
"""A git commit, or empty where the package is no checkout."""
Recipe = Annotated[dict[str, Any], AfterValidator(_check_recipe)]
"""What a stage's key is the digest of: finite JSON, with the keys of the stages that it follows as `parents`."""
Timestamp = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(\+00:00|Z)$"),
    AfterValidator(_check_time),
]
"""UTC time, ISO 8601."""
Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
"""The name of a metric, a stage or a package."""
Name = Annotated[str, _text(300)]
"""The name of an entry, an artist, an attack or a model."""
EntryName = Annotated[
    str, StringConstraints(max_length=300, pattern=r"^[a-z0-9][a-z0-9._-]*(\[[A-Za-z0-9_.+=,-]+\])?$")
]
"""The canonical spelling of a protection with its parameters: no letters that look like others."""
Line = Annotated[str, _text(1000)]
"""One line of text that a stranger wrote, such as a title."""
Text = Annotated[str, _text(4000, _LINE_ENDS)]
"""A few sentences, such as the reason of a fault."""
Trace = Annotated[str, _text(100_000, _LINE_ENDS)]
"""A traceback."""
FiniteFloat = Annotated[float, Field(ge=-LARGEST, le=LARGEST, allow_inf_nan=False)]
"""A number whose square, and sums of such squares, are finite too."""
Amount = Annotated[float, Field(ge=0, le=LARGEST, allow_inf_nan=False)]
"""Seconds, bytes or joules that something took."""
Count = Annotated[int, Field(ge=0, le=2**63 - 1)]
Strength = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
"""In (0, 1]; 0 where an entry has no strength."""
Values = Annotated[list[FiniteFloat], Field(max_length=MAX_VALUES)]
"""One finite value per image."""
Digests = Annotated[list[Key], Field(max_length=MAX_VALUES)]
"""The SHA-256 of the pixels of each image."""
