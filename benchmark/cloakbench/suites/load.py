"""Reads suites: those of the package by name, others by path; every error says where, what was expected and got."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from pydantic import ValidationError

from cloakbench.attacks import catalogue
from cloakbench.errors import UserError, unknown
from cloakbench.metrics import catalogue as metrics
from cloakbench.models import registry
from cloakbench.schemas.suite import AttackExplained, Suite, SuiteFacts
from cloakbench.user_files import read_text

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
        suite = Suite.model_validate(tomllib.loads(read_text(path)))
    except tomllib.TOMLDecodeError as error:
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
    """Raises UserError for an unknown stage or model, a metric unknown at its level or left alone, an unready edit."""
    for attack in suite.attacks:
        catalogue.stages(attack)
        registry.find(attack.model)
    registry.find(suite.surrogate)
    _check_editing(suite)
    _check_matching(suite)
    chosen = suite.metrics
    for level, named in (
        ("quality", chosen.quality),
        ("generation", [chosen.primary, *chosen.generation]),
        ("set", chosen.sets),
        ("edit", chosen.edit),
    ):
        for name in named:
            actual = metrics.find(name).level
            if actual != level:
                choices = ", ".join(metric.name for metric in metrics.METRICS if metric.facts.level == level)
                raise UserError(f"expected a {level} metric ({choices}), got {name!r}, a {actual} metric", "Move it.")
    for name in chosen.sets:
        companions = metrics.entry(name).read_with
        if companions and not set(companions) & set(chosen.sets):
            raise UserError(
                f"expected {' or '.join(companions)} beside {name} in metrics.sets, got {name} alone",
                f"Add one: over so few images {name} is biased.",
            )


def _check_matching(suite: Suite) -> None:
    matching = suite.matching
    if matching is None:
        return
    for name, values in {matching.metric: matching.targets, **matching.gates}.items():
        if values != sorted(values, reverse=metrics.find(name).higher_is_better):
            better = "higher" if metrics.find(name).higher_is_better else "lower"
            raise UserError(
                f"expected values of {name} from better to worse ({better} is better), got {values}",
                "Correct the table [matching].",
            )
    if matching.calibrated and (suite.dataset == "folder" or not matching.artists):
        raise UserError(
            f"expected matching.artists, whose images strengths are sought on, for the suite {suite.name!r}, got none",
            "Name artists of the dataset that the suite does not protect; images of your own (`folder`) have none.",
        )


def _check_editing(suite: Suite) -> None:
    ranked = [attack.name for attack in suite.attacks if catalogue.is_ranked(attack)]
    if not ranked or suite.rank_by not in {*ranked, "worst-case"}:
        known = ", ".join(ranked) or "none here"
        raise UserError(
            f"expected rank_by to name an attack that imitates the style ({known}), got {suite.rank_by!r}",
            "Rank by another attack: editing has columns of its own beside the ranking.",
        )
    edits = [attack.name for attack in suite.attacks if attack.name not in ranked]
    for key, values in (("edit_prompts", suite.edit_prompts), ("metrics.edit", suite.metrics.edit)):
        if edits and not values:
            raise UserError(f"expected {key} for the attack {edits[0]!r}, got none", "Add it to the suite.")


def on_model(suite: Suite, model: str) -> Suite:
    """Returns a suite of the user's own images with another base model, under a name of its own.

    Attacks that need a further model (transfer, an autoencoder of another family) fall away. Raises UserError for a
    suite with images of its own: its model is part of the protocol.
    """
    if suite.dataset != "folder":
        raise UserError(
            f"expected no --model for suite {suite.name!r}, got {model!r}", "Only `folder` takes any model."
        )
    found = registry.find(model)
    slug = re.sub(r"[^a-z0-9]+", "-", found.name.lower()).strip("-")
    kept = [attack for attack in suite.attacks if catalogue.attack_models(attack, suite) == {suite.surrogate}]
    tables = {
        name: {key: model if value == suite.surrogate else value for key, value in table.items()}
        for name, table in suite.countermeasures.items()
    }
    changes = {
        "name": f"{suite.name}-{slug}",
        "title": f"{suite.title} on {found.name}",
        "surrogate": model,
        "attacks": [attack.model_copy(update={"model": model}) for attack in kept],
        "countermeasures": tables,
    }
    return suite.model_copy(update=changes)


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
            ranked=catalogue.is_ranked(attack),
            limits=catalogue.limits(attack, suite),
        )
        for attack in suite.attacks
    ]
    return SuiteFacts(suite=suite, attacks=explained, metrics=[metrics.find(name) for name in suite.metrics.every])
