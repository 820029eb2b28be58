"""Loads suites: reads and checks them, moves them to another base model, and collects the facts that pages show."""

from __future__ import annotations

import re

from cloakbench.attacks import catalogue
from cloakbench.errors import UserError
from cloakbench.metrics import catalogue as metrics
from cloakbench.models import registry
from cloakbench.schemas.suite import AttackExplained, AttackSpec, Suite, SuiteFacts
from cloakbench.suites.check import check
from cloakbench.suites.read import read

ON_STABLE_DIFFUSION = "folder-sd"
"""The suite whose recipes are for images of the user's own on Stable Diffusion."""


def load(name: str) -> Suite:
    """Returns a suite that is read and checked.

    Args:
        name: Name of one of the package's suites, or path to a TOML file.

    Raises:
        UserError: There is no such suite, its file is malformed, or what it names does not exist or fit together.
    """
    suite = read(name)
    check(suite)
    return suite


def for_model(model: str | None, default: str = "mini") -> Suite:
    """Returns the suite whose settings the verbs use for a model: `folder-sd` on Stable Diffusion, else `default`."""
    is_large = model is not None and registry.family(model) == "stable-diffusion"
    return load(ON_STABLE_DIFFUSION if is_large else default)


def check_family(suite: Suite, model: str) -> None:
    """Raises UserError where a suite's recipes are for models of another family than `model`."""
    expected, actual = registry.family(suite.surrogate), registry.family(model)
    if expected != actual:
        other = ON_STABLE_DIFFUSION if actual == "stable-diffusion" else "folder"
        raise UserError(
            f"expected a model of the family {expected}, which the recipes of the suite {suite.name!r} are for, got "
            f"{model!r} of the family {actual}",
            f"Rates and steps of one family do not suit the other: use --suite {other}.",
        )


def on_model(suite: Suite, model: str) -> Suite:
    """Returns a suite of the user's own images with another base model, under a name of its own.

    Attacks that need a further model (transfer, an autoencoder of another family) fall away. `folder` becomes
    `folder-sd` for a model of Stable Diffusion.

    Raises:
        UserError: The suite has images of its own, so that its model is part of the protocol, or its recipes are for
            another family of models.
    """
    if suite.dataset != "folder":
        raise UserError(
            f"expected no --model for suite {suite.name!r}, got {model!r}",
            "Only `folder` and `folder-sd` take another model.",
        )
    if suite.name == "folder":
        suite = for_model(model, "folder")
    check_family(suite, model)
    name = registry.find(model).name
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    attacks = []
    has_two = registry.find(model).has_two_text_encoders
    for attack in suite.attacks:
        can_learn = not (has_two and catalogue.imitation(attack).needs_one_text_encoder)
        if can_learn and catalogue.attack_models(attack, suite) == {suite.surrogate}:
            attacks.append(attack.model_copy(update={"model": model}))
    tables = {}
    for stage, table in suite.countermeasures.items():
        tables[stage] = dict(table)
        for key, value in table.items():
            if value == suite.surrogate:
                tables[stage][key] = model
    changes = {
        "name": f"{suite.name}-{slug}",
        "title": f"{suite.title} on {name}",
        "surrogate": model,
        "attacks": attacks,
        "countermeasures": tables,
    }
    return suite.model_copy(update=changes)


def facts(suite: Suite) -> SuiteFacts:
    """Returns what pages need to explain a suite."""
    explained = [_explained(attack, suite) for attack in suite.attacks]
    return SuiteFacts(suite=suite, attacks=explained, metrics=list(map(metrics.find, suite.metrics.every)))


def _explained(attack: AttackSpec, suite: Suite) -> AttackExplained:
    return AttackExplained(
        name=attack.name,
        summary=catalogue.explain(attack),
        countermeasure=attack.countermeasure,
        mimicry=attack.mimicry,
        model=attack.model,
        parameters=catalogue.parameters(attack, suite),
        ranked=catalogue.is_ranked(attack),
        limits=catalogue.limits(attack, suite),
    )
