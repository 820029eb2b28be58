"""Text that strangers wrote, made safe to store, to print and to show: bounded, and without hidden characters."""

from __future__ import annotations

from cloakbench.printable import replace_hidden

_OMISSION = " [...] "


def clean_line(text: str, limit: int = 300) -> str:
    """Returns a text as one line.

    White space, line ends included, becomes single spaces. Control characters, lone surrogates and the characters that
    change the direction of text become U+FFFD.

    Args:
        text: Any text.
        limit: The longest result, in characters; the middle of a longer text is left out.

    Returns:
        At most `limit` characters that UTF-8 can encode.
    """
    return replace_hidden(_shorten(" ".join(_shorten(text, 4 * limit).split()), limit))


def clean_lines(text: str, limit: int = 16_000) -> str:
    """Returns a text with its line ends and tabs, cleaned as by `clean_line`.

    Args:
        text: Any text, such as a traceback.
        limit: The longest result, in characters; the middle of a longer text is left out.

    Returns:
        At most `limit` characters that UTF-8 can encode.
    """
    return replace_hidden(_shorten(text, limit), allowed="\n\t")


def _shorten(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    start = (limit - len(_OMISSION)) // 2
    return text[:start] + _OMISSION + text[start + len(_OMISSION) - limit :]
