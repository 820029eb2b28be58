"""What there is to choose from: lists by kind, from metadata alone."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from cloakbench import submissions
from cloakbench.attacks import catalogue
from cloakbench.metrics import catalogue as metrics
from cloakbench.models.aliases import MODELS
from cloakbench.suites import load as suites
from cloakbench.suites import read

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ListItem:
    """One line of a list."""

    name: str
    version: str
    summary: str


def protections() -> list[ListItem]:
    """Returns every installed protection; doubles say so, and a warning names what is left out."""
    listing = submissions.discover()
    for problem in listing.problems:
        _log.warning("left out: %s", problem)
    items = []
    for offer in listing.offers:
        clash = f"NAME TAKEN TWICE, also by {', '.join(offer.rivals)}: " if offer.rivals else ""
        items.append(ListItem(offer.name, offer.version, clash + offer.summary))
    return items


def attacks() -> list[ListItem]:
    """Returns every countermeasure and mimicry."""
    return [ListItem(s.name, str(s.version), f"{s.kind}: {s.summary}") for s in catalogue.STAGES]


def all_metrics() -> list[ListItem]:
    """Returns every metric."""
    facts = [metric.facts for metric in metrics.METRICS]
    return [ListItem(f.name, str(f.version), f"{f.level}, {f.unit}: {f.summary}") for f in facts]


def all_suites() -> list[ListItem]:
    """Returns every suite of the package."""
    loaded = [suites.load(name) for name in read.names()]
    return [ListItem(s.name, str(s.version), " ".join(s.description.split())) for s in loaded]


def models() -> list[ListItem]:
    """Returns every model alias."""
    return [ListItem(m.name, str(m.version), m.summary) for m in MODELS]


KINDS: dict[str, Callable[[], list[ListItem]]] = {
    "protections": protections,
    "attacks": attacks,
    "metrics": all_metrics,
    "suites": all_suites,
    "models": models,
}
