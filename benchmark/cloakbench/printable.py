"""Text of others made fit for a terminal: no control characters, and nothing that its encoding lacks."""

from __future__ import annotations

import re

REPLACEMENT = "\ufffd"
_COLOUR = r"\x1b\[[0-9;]*m"
_CONTROLS = r"\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff"
_DIRECTIONS = r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_INVISIBLE = (
    r"\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200d\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0"
    r"\ufff0-\ufffb\U000e0000-\U000e0fff"
)
"""Characters without a width, by which two names could look the same."""
_HIDDEN = _CONTROLS + _DIRECTIONS + _INVISIBLE
"""C0 and C1 controls, line separators, bytes that are no text, marks of direction, and what is invisible."""
_UNSAFE = re.compile(rf"({_COLOUR})|(?![\t\n])[{_HIDDEN}]")
_ANY_HIDDEN = re.compile(f"[{_HIDDEN}]")


def has_hidden(text: str) -> bool:
    r"""Returns whether a text has a control or invisible character, a lone surrogate or a mark of direction.

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


def count(number: int, noun: str) -> str:
    """Returns a number with its noun, in the plural unless there is one.

    Example:
        >>> count(1, "image"), count(2, "image")
        ('1 image', '2 images')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _escaped(match: re.Match[str]) -> str:
    colour: str | None = match.group(1)
    return colour or match.group().encode("unicode_escape").decode("ascii")
