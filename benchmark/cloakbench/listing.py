"""What there is to choose from: lists by kind, from metadata and source alone."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cloakbench import submissions
from cloakbench.attacks import catalogue
from cloakbench.metrics import catalogue as metrics
from cloakbench.models.aliases import MODELS
from cloakbench.submissions import EntryKind, source_facts
from cloakbench.submissions.discovery import Offer
from cloakbench.suites import load as suites
from cloakbench.suites import read

_log = logging.getLogger(__name__)

KINDS_BY_BUDGET = {"perceptual": "no pixel limit", "ready-made": "ready-made images"}
"""What a list calls a protection of each budget; all others limit every pixel."""


@dataclass(frozen=True, slots=True)
class ListItem:
    """One line of a list."""

    name: str
    version: str
    kind: str
    summary: str


@dataclass(frozen=True, slots=True)
class ProtectionItem:
    """One line of the list of protections."""

    name: str
    version: str
    kind: str
    """A reference, or what limits its changes; `cannot run` where its source shows that it cannot be loaded."""
    year: str
    paper: str
    summary: str


def protections() -> list[ProtectionItem]:
    """Returns every installed protection; a warning names what is left out.

    One that cannot run has the reason in place of its summary.
    """
    listing = submissions.discover()
    for problem in listing.problems:
        _log.warning("left out: %s", problem)
    return [_protection(offer) for offer in listing.offers]


def _protection(offer: Offer) -> ProtectionItem:
    problem = source_facts.problem(offer)
    if offer.rivals:
        problem = f"{', '.join(offer.rivals)} has the same name; uninstall all but one"
    if problem:
        return ProtectionItem(offer.name, offer.version, "cannot run", "", "", problem)
    facts = source_facts.read(offer)
    kind = "reference" if facts.control else KINDS_BY_BUDGET.get(facts.budget, "pixel limit")
    summary = facts.sentence or offer.summary
    if facts.required:
        values = ",".join(f"{name}=..." for name in facts.required)
        summary = f"{summary} Runs as {offer.name}[{values}] only."
    return ProtectionItem(offer.name, offer.version, kind, facts.year, facts.paper, summary)


def attacks() -> list[ListItem]:
    """Returns every countermeasure and mimicry, attacks of suites with names of their own, and those of packages."""
    items = [ListItem(stage.name, str(stage.version), stage.kind, stage.summary) for stage in catalogue.STAGES]
    names = {item.name for item in items}
    for suite_name in read.names():
        suite = suites.load(suite_name)
        for attack in suite.attacks:
            if attack.name not in names:
                names.add(attack.name)
                cleaning = f"{attack.countermeasure}, then " if attack.countermeasure else ""
                summary = f"{cleaning}{attack.mimicry} on the model {attack.model}."
                items.append(ListItem(attack.name, str(suite.version), f"attack of {suite.name}", summary))
    for kind in (EntryKind.COUNTERMEASURE, EntryKind.MIMICRY):
        for offer in submissions.discover(kind=kind).offers:
            items.append(ListItem(offer.name, offer.version, f"{kind} of {offer.distribution}", offer.summary))
    return items


def all_metrics() -> list[ListItem]:
    """Returns every metric."""
    items = []
    for metric in metrics.METRICS:
        facts = metric.facts
        items.append(ListItem(facts.name, str(facts.version), facts.level, f"{facts.summary} Unit: {facts.unit}."))
    return items


def all_suites() -> list[ListItem]:
    """Returns every suite of the package."""
    items = []
    for name in read.names():
        suite = suites.load(name)
        items.append(ListItem(suite.name, str(suite.version), suite.dataset, " ".join(suite.description.split())))
    return items


def models() -> list[ListItem]:
    """Returns every model alias."""
    items = []
    for model in MODELS:
        items.append(
            ListItem(model.name, str(model.version), f"{model.image_size} pixels, {model.licence}", model.summary)
        )
    return items


KINDS: dict[str, Callable[[], Sequence[Any]]] = {
    "protections": protections,
    "attacks": attacks,
    "metrics": all_metrics,
    "suites": all_suites,
    "models": models,
}
