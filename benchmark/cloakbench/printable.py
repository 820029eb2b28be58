"""Text of others made fit for a terminal: no control characters, and nothing that its encoding lacks."""

from __future__ import annotations

import re

REPLACEMENT = "\ufffd"
_COLOUR = r"\x1b\[[0-9;]*m"
_HIDDEN = r"\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
"""C0 and C1 controls, marks of writing direction, line separators and bytes that are no text."""
_UNSAFE = re.compile(rf"({_COLOUR})|(?![\t\n])[{_HIDDEN}]")
_ANY_HIDDEN = re.compile(f"[{_HIDDEN}]")


def has_hidden(text: str) -> bool:
    r"""Returns whether a text has a control character, a lone surrogate, a line separator or a mark of direction.

    Example:
        >>> has_hidden("a\nb"), has_hidden("caf\u00e9 \u202e"), has_hidden("caf\u00e9")
        (True, True, False)
    """
    return _ANY_HIDDEN.search(text) is not None


def replace_hidden(text: str, allowed: str = "") -> str:
    r"""Returns a text with U+FFFD for each hidden character that is not `allowed`.

    Example:
        >>> replace_hidden("a\tb\x07c", "\t")
        'a\tb\ufffdc'
    """
    return _ANY_HIDDEN.sub(lambda match: match.group() if match.group() in allowed else REPLACEMENT, text)


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
