"""Checks a suite against the stages, models and metrics that there are."""

from __future__ import annotations

import itertools

from cloakbench.attacks import catalogue
from cloakbench.errors import UserError
from cloakbench.metrics import catalogue as metrics
from cloakbench.models import registry
from cloakbench.schemas.suite import Suite


def check(suite: Suite) -> None:
    """Checks that what a suite names exists and fits together.

    Raises:
        UserError: A stage, model or metric is unknown, a metric is in the wrong list or lacks its companion, values of
            a target are in the wrong order, or an attack lacks what it needs.
    """
    for attack in suite.attacks:
        catalogue.stages(attack)
        registry.find(attack.model)
    registry.find(suite.surrogate)
    _check_text_encoders(suite)
    _check_editing(suite)
    _check_matching(suite)
    _check_levels(suite)
    _check_companions(suite)
    _check_published(suite)


def _check_published(suite: Suite) -> None:
    """Raises UserError for a published row with an unknown metric or an attack that the suite does not have."""
    attacks = [attack.name for attack in suite.attacks]
    for figure in suite.published:
        for name in figure.values:
            metrics.find(name)
        if figure.attack and figure.attack not in attacks:
            raise UserError(
                f"expected an attack of the suite ({', '.join(attacks)}) in a published row, got {figure.attack!r}",
                "Correct the table [[published]].",
            )


def _check_text_encoders(suite: Suite) -> None:
    """Raises UserError where a mimicry would train the text encoder of a model that has two."""
    for attack in suite.attacks:
        stage = catalogue.imitation(attack)
        is_training = stage.needs_one_text_encoder or catalogue.settings(stage, suite, attack).get("train_text_encoder")
        if is_training and registry.find(attack.model).has_two_text_encoders:
            raise UserError(
                f"expected a model with one text encoder for the attack {attack.name!r}, got {attack.model!r} with two",
                "Take lora or dreambooth without train_text_encoder on it, or a model of Stable Diffusion 1 or 2.",
            )


def _check_levels(suite: Suite) -> None:
    """Raises UserError for a metric in the list of another level."""
    chosen = suite.metrics
    names_by_level = {
        "quality": chosen.quality,
        "generation": [chosen.primary, *chosen.generation],
        "set": chosen.sets,
        "edit": chosen.edit,
    }
    for level, names in names_by_level.items():
        for name in names:
            actual = metrics.find(name).level
            if actual != level:
                choices = ", ".join(metric.name for metric in metrics.METRICS if metric.facts.level == level)
                raise UserError(f"expected a {level} metric ({choices}), got {name!r}, a {actual} metric", "Move it.")


def _check_companions(suite: Suite) -> None:
    """Raises UserError for a biased metric of sets without one that shows the bias."""
    chosen = suite.metrics
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
    needs_others = matching.calibrated and not matching.own_images
    if needs_others and (suite.dataset == "folder" or not matching.artists):
        raise UserError(
            f"expected matching.artists, whose images calibrate strengths, for the suite {suite.name!r}, got none",
            "Name artists of the dataset that the suite does not protect; images of your own (`folder`) have none.",
        )


def _check_editing(suite: Suite) -> None:
    ranked = [attack.name for attack in filter(catalogue.is_ranked, suite.attacks)]
    if not ranked or suite.rank_by not in {*ranked, "worst-case"}:
        choices = ", ".join(ranked) or "none here"
        raise UserError(
            f"expected rank_by to name an attack that imitates the style ({choices}), got {suite.rank_by!r}",
            "Rank by another attack: editing has columns of its own, without a rank.",
        )
    edits = [attack.name for attack in itertools.filterfalse(catalogue.is_ranked, suite.attacks)]
    for key, values in (("edit_prompts", suite.edit_prompts), ("metrics.edit", suite.metrics.edit)):
        if edits and not values:
            raise UserError(f"expected {key} for the attack {edits[0]!r}, got none", "Add it to the suite.")
