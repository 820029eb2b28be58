"""Reads suites: those of the package by name, others by path; every error says where, what was expected and got."""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import ValidationError

from benchmark.attacks import catalogue
from benchmark.errors import UserError, unknown
from benchmark.metrics import catalogue as metrics
from benchmark.models import registry
from benchmark.suites.schema import AttackExplained, Suite, SuiteFacts

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """Returns the names of the package's suites."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(name: str) -> Suite:
    """Returns the suite called `name`, or read from a TOML file at that path; raises UserError where it is invalid."""
    path = FOLDER / f"{name}.toml"
    if not path.is_file():
        path = Path(name)
    if path.suffix != ".toml" or not path.is_file():
        raise unknown("the path of a .toml file or a suite", name, names(), "suites")
    try:
        suite = Suite.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"expected TOML in {path}, got: {error}", "Correct the file.") from error
    except ValidationError as error:
        raise UserError(f"suite {path} is not valid:\n{_explained(error)}", "Correct the file.") from error
    check(suite)
    return suite


def _explained(error: ValidationError) -> str:
    lines = []
    for fault in error.errors():
        where = ".".join(str(part) for part in fault["loc"]) or "the file"
        got = f" (got {fault['input']!r:.80})" if fault["type"] not in {"missing", "value_error"} else ""
        lines.append(f"  {where}: {fault['msg']}{got}")
    return "\n".join(lines)


def check(suite: Suite) -> None:
    """Raises UserError where the suite names an unknown attack stage or model, or a metric unknown at its level."""
    for attack in suite.attacks:
        catalogue.find("mimicry", attack.mimicry)
        if attack.countermeasure is not None:
            catalogue.find("countermeasure", attack.countermeasure)
        registry.find(attack.model)
    registry.find(suite.surrogate)
    chosen = suite.metrics
    for level, named in (
        ("quality", chosen.quality),
        ("generation", [chosen.primary, *chosen.generation]),
        ("set", chosen.sets),
    ):
        for name in named:
            found = metrics.find(name).level
            if found != level:
                known = ", ".join(m.name for m in metrics.METRICS if m.level == level)
                raise UserError(f"expected a {level} metric ({known}), got {name!r}, a {found} metric", "Move it.")


def facts(suite: Suite) -> SuiteFacts:
    """Returns what pages need to explain a suite."""
    explained = [
        AttackExplained(
            name=attack.name,
            summary=catalogue.explain(attack),
            countermeasure=attack.countermeasure,
            mimicry=attack.mimicry,
            model=attack.model,
            parameters=catalogue.parameters(attack, suite),
        )
        for attack in suite.attacks
    ]
    chosen = suite.metrics
    ordered = dict.fromkeys([chosen.primary, *chosen.quality, *chosen.generation, *chosen.sets])
    return SuiteFacts(suite=suite, attacks=explained, metrics=[metrics.find(name) for name in ordered])
