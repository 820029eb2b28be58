"""What is measured: frozen facts and where the code is, readable without torch."""

from __future__ import annotations

from collections.abc import Sequence

from cloakbench.errors import unknown
from cloakbench.metrics.facts_generations import PROTECTION
from cloakbench.metrics.facts_quality import QUALITY
from cloakbench.schemas.suite import MetricFacts

METRICS: tuple[MetricFacts, ...] = (*QUALITY, *PROTECTION)
BY_NAME = {metric.name: metric for metric in METRICS}


def find(name: str) -> MetricFacts:
    """Returns a metric's facts; raises UserError with the nearest name for an unknown one."""
    if name in BY_NAME:
        return BY_NAME[name]
    raise unknown("a metric", name, BY_NAME, "metrics")


def versions(names: Sequence[str]) -> dict[str, int]:
    """Returns the version of each named metric."""
    return {name: find(name).version for name in names}
