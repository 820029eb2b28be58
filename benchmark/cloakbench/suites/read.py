"""Reads suites: those of the package by name, others by path; an error says where, what was expected and got.

Only the file's form is checked here; `check` tests whether its stages, models and metrics exist and fit together.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cloakbench.errors import UserError, unknown
from cloakbench.schemas.suite import Suite
from cloakbench.suites import inherit
from cloakbench.user_files import read_text

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """Returns the names of the package's suites."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def read(name: str) -> Suite:
    """Returns a suite by its name or the path of its TOML file; raises UserError for none, or a malformed file."""
    path = FOLDER / f"{name}.toml"
    if not path.is_file():
        path = Path(name)
    if path.suffix != ".toml" or not path.is_file():
        raise unknown("the path of a .toml file or a suite", name, names(), "suites")
    try:
        return Suite.model_validate(inherit.complete(_document(path), _shipped))
    except ValidationError as error:
        raise UserError(f"suite {path} is not valid:\n{_format_errors(error)}", "Correct the file.") from error


def _shipped(name: str) -> dict[str, Any]:
    """Returns what the file of one of the package's suites says; raises UserError where there is none."""
    if name not in names():
        raise unknown("a suite of the package", name, names(), "suites")
    return _document(FOLDER / f"{name}.toml")


def _document(path: Path) -> dict[str, Any]:
    """Returns what a TOML file says; raises UserError where it is none."""
    try:
        return tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"expected TOML in {path}, got: {error}", "Correct the file.") from error


def _format_errors(error: ValidationError) -> str:
    lines = []
    for fault in error.errors():
        field = ".".join(map(str, fault["loc"])) or "the file"
        got = f" (got {fault['input']!r:.80})" if fault["type"] not in {"missing", "value_error"} else ""
        lines.append(f"  {field}: {fault['msg']}{got}")
    return "\n".join(lines)
