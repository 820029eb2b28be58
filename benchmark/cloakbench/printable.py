"""Text of others made fit for a terminal: no control characters, and nothing that its encoding lacks."""

from __future__ import annotations

import re

_COLOUR = r"\x1b\[[0-9;]*m"
_CONTROLS = r"\x00-\x08\x0b-\x1f\x7f-\x9f"
_DIRECTIONS = r"\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
_UNSAFE = re.compile(rf"({_COLOUR})|[{_CONTROLS}{_DIRECTIONS}\ud800-\udfff]")
"""C0 and C1 controls, marks of writing direction, line separators and bytes that are no text; not tab and newline."""


def clean(text: str) -> str:
    r"""Returns text in which control and direction characters are written as escapes; colours stay.

    Example:
        >>> clean("title\x1b]0;x\x07 and \u202e")
        'title\\x1b]0;x\\x07 and \\u202e'
    """
    return _UNSAFE.sub(_escaped, text)


def encodable(text: str, encoding: str | None) -> str:
    r"""Returns text with escapes for what an encoding lacks.

    Example:
        >>> encodable("a \u2192 b", "ascii")
        'a \\u2192 b'
    """
    name = encoding or "utf-8"
    return text.encode(name, "backslashreplace").decode(name)


def _escaped(match: re.Match[str]) -> str:
    colour: str | None = match.group(1)
    return colour or match.group().encode("unicode_escape").decode("ascii")
