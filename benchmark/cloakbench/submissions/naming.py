"""The spelling of a protection with its parameters, such as `impasto[base=advdm,clip=false]`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import NamedTuple

from cloakbench.errors import UserError

Parameter = bool | int | float | str

NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_SPELLING = re.compile(r"(?P<name>[^\[\]]*)(\[(?P<inside>[^\[\]]*)\])?")
_INTEGER = re.compile(r"[+-]?\d+")
_NUMBER = re.compile(r"[+-]?(\d+\.\d*|\.\d+|\d+)(e[+-]?\d+)?", re.IGNORECASE)
_WORD = re.compile(r"[A-Za-z0-9_.+-]+")
# Each would silently become a (true) string where a person means something else.
_MISTAKEN = {"null", "none", "nan", "inf", "infinity", "true", "false"}
_LONGEST = 200
_HINT = "Write name or name[parameter=value,...], for example photoguard[steps=50,target=gray]."


def normalised(distribution: str) -> str:
    """Returns a distribution's name as package indexes compare it.

    Example:
        >>> normalised("Cloakbench_Controls")
        'cloakbench-controls'
    """
    return re.sub(r"[-_.]+", "-", distribution).lower()


class Variant(NamedTuple):
    """A protection's name with the parameters asked for."""

    name: str
    parameters: dict[str, Parameter]

    @property
    def identity(self) -> str:
        """The canonical spelling: what records, verbs and addresses say."""
        return canonical(self.name, self.parameters)


def parse(spelling: str) -> Variant:
    """Returns the name and the parameters that a spelling means; raises UserError for bad syntax.

    Values are read as `true`, `false`, whole numbers, numbers, else as words.

    Example:
        >>> parse("impasto[base=advdm,clip=false]")
        Variant(name='impasto', parameters={'base': 'advdm', 'clip': False})
    """
    match = _SPELLING.fullmatch(spelling.strip()) if len(spelling) <= _LONGEST else None
    if match is None:
        raise UserError(f"expected a protection, got {spelling[:_LONGEST]!r}", _HINT)
    name = match["name"].strip()
    if not NAME.fullmatch(name):
        raise UserError(f"expected a protection's name of a-z, 0-9, '.', '_', '-', got {name!r}", _HINT)
    parameters: dict[str, Parameter] = {}
    for item in match["inside"].split(",") if match["inside"] is not None else ():
        key, value = _assignment(item, spelling)
        if key in parameters:
            raise UserError(f"expected every parameter once, got {key!r} twice in {spelling!r}", "Remove one of them.")
        parameters[key] = value
    return Variant(name, parameters)


def canonical(name: str, parameters: Mapping[str, Parameter]) -> str:
    """Returns the one spelling of a variant: parameters sorted by name, without spaces.

    Example:
        >>> canonical("impasto", {"clip": False, "base": "advdm"})
        'impasto[base=advdm,clip=false]'
    """
    if not parameters:
        return name
    return f"{name}[{','.join(f'{key}={_spell(parameters[key])}' for key in sorted(parameters))}]"


def _assignment(item: str, spelling: str) -> tuple[str, Parameter]:
    key, equals, text = (part.strip() for part in item.partition("="))
    if not (equals and key.isascii() and key.isidentifier()):
        raise UserError(f"expected parameter=value, got {item!r} in {spelling!r}", _HINT)
    return key, _value(key, text)


def _value(key: str, text: str) -> Parameter:
    if text in ("true", "false"):
        return text == "true"
    if _INTEGER.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text):
        number = float(text)
        if math.isfinite(number):
            return number
        raise UserError(f"expected a finite number for {key!r}, got {text!r}", "Give a smaller number.")
    if text.lower().lstrip("+-") in _MISTAKEN:
        hint = "Write true or false in small letters; leave the parameter out for its default."
        raise UserError(f"expected true, false, a number or a word for {key!r}, got {text!r}", hint)
    if not _WORD.fullmatch(text):
        raise UserError(f"expected true, false, a number or a word for {key!r}, got {text!r}", _HINT)
    return text


def _spell(value: Parameter) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else repr(value)
