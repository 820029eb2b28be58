"""Numbers and untrusted text in a form that is safe to show: digits follow the noise, names stay short."""

from __future__ import annotations

import hashlib
import math
import unicodedata
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

NONE = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
NAME_LIMIT = 48
REASON_LIMIT = 300


def number(value: float, half_width: float = math.nan) -> str:
    """Returns the value with as many digits as its interval allows: two significant ones of the half-width, else three.

    Example:
        >>> number(0.34217, 0.0461)
        '0.342'
        >>> number(-12.345), number(0.000123), number(1234.5), number(0.0)
        ('−12.3', '0.000123', '1234', '0')
        >>> number(float("nan"))
        '–'
    """
    if not math.isfinite(value):
        return NONE
    return _fixed(value, _decimals(value, half_width))


def quality(value: float) -> str:
    """Returns the value of a metric of quality: three digits, but no decimal after the fourth, which no limit has.

    Example:
        >>> quality(0.07981), quality(0.000275), quality(49.912), quality(0.0)
        ('0.0798', '0.0003', '49.9', '0')
    """
    if not math.isfinite(value):
        return NONE
    return _fixed(value, min(_decimals(value, math.nan), 4))


def interval(low: float, high: float) -> str:
    """Returns an interval with the digits of `number`; empty where there is none.

    Example:
        >>> interval(0.2961, 0.3883), interval(-0.5, 0.5)
        ('0.296 to 0.388', '−0.50 to 0.50')
    """
    if not (math.isfinite(low) and math.isfinite(high)):
        return ""
    return f"{number(low, (high - low) / 2)} to {number(high, (high - low) / 2)}"


def plain(text: str, limit: int = REASON_LIMIT) -> str:
    r"""Returns one line without control or direction characters, cut with a mark of what was cut.

    Example:
        >>> plain("a\u202eb\nc")
        'ab c'
    """
    spaced = " ".join(text.split())
    # Nearly all words are printable as they are, and pages hold a hundred thousand of them.
    safe = spaced
    if not spaced.isprintable():
        shown = []
        for character in spaced:
            if unicodedata.category(character)[0] != "C":
                shown.append(character)
        safe = "".join(shown)
    if len(safe) <= limit:
        return safe
    # Two long names that begin alike stay two names.
    return f"{safe[:limit]}… ({hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:6]})"


def unmarked(text: str, limit: int = 1000) -> str:
    """Returns one line without the backticks that mark names in a text of a suite or an attack.

    Example:
        >>> unmarked("like `mini`")
        'like mini'
    """
    return plain(text.replace("`", ""), limit)


def name(text: str) -> str:
    """Returns a name short enough for a table."""
    return plain(text, NAME_LIMIT) or "(no name)"


def link(text: str) -> str:
    """Returns the address where it is a plain web link, else nothing: no other scheme is ever shown as a link.

    Example:
        >>> link("https://arxiv.org/abs/2302.06588")
        'https://arxiv.org/abs/2302.06588'
        >>> link("javascript:alert(1)")
        ''
    """
    cleaned = plain(text, 2000)
    try:
        parts = urlsplit(cleaned)
    except ValueError:
        return ""
    return cleaned if parts.scheme in ("http", "https") and parts.netloc and " " not in cleaned else ""


def listed(items: list[str], limit: int = 8) -> str:
    """Returns the items in one phrase, the rest counted.

    Example:
        >>> listed(["a", "b", "c"], limit=2)
        'a, b and 1 more'
    """
    shown = ", ".join(items[:limit])
    return f"{shown} and {len(items) - limit} more" if len(items) > limit else shown


def numbers(values: Iterable[float]) -> str:
    """Returns the numbers in their shortest form, with commas between them.

    Example:
        >>> numbers([0.25, 1.0])
        '0.25, 1'
    """
    return ", ".join(map("{:g}".format, values))


def limits(by_metric: Mapping[str, float]) -> str:
    """Returns limits of quality, each behind the name of its metric.

    Example:
        >>> limits({"mini-lpips": 0.08, "gmsd": 0.05})
        'mini-lpips 0.08, gmsd 0.05'
    """
    return ", ".join(f"{name(metric)} {value:g}" for metric, value in by_metric.items())


def counts(by_word: Mapping[str, int], separator: str = ", ") -> str:
    """Returns how often each word occurs, in the order of the words.

    Example:
        >>> counts({"ok": 3, "failed": 1})
        '1 failed, 3 ok'
    """
    return separator.join(f"{count} {word}" for word, count in sorted(by_word.items()))


def _decimals(value: float, half_width: float) -> int:
    scale, digits = (half_width, 2) if math.isfinite(half_width) and half_width > 0 else (abs(value), 3)
    if scale == 0:
        return 0
    return min(max(digits - 1 - math.floor(math.log10(scale)), 0), 8)


def _fixed(value: float, decimals: int) -> str:
    text = f"{value:.{decimals}f}"
    if float(text) == 0:
        text = text.removeprefix("-")
    return text.replace("-", MINUS)
