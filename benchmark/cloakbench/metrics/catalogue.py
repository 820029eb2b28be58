"""The catalogue of metrics: names, facts and versions of all that are declared. Readable without torch."""

from __future__ import annotations

from collections.abc import Sequence

from cloakbench.errors import unknown
from cloakbench.metrics import entries_generations, entries_quality
from cloakbench.metrics.metric import Metric
from cloakbench.schemas.suite import MetricFacts

METRICS: tuple[Metric, ...] = entries_quality.ENTRIES + entries_generations.ENTRIES
"""Every metric, in the order of `cloakbench list metrics`."""
BY_NAME = {metric.name: metric for metric in METRICS}


def entry(name: str) -> Metric:
    """Returns a metric; raises UserError with the nearest name for an unknown one."""
    if name in BY_NAME:
        return BY_NAME[name]
    raise unknown("a metric", name, BY_NAME, "metrics")


def find(name: str) -> MetricFacts:
    """Returns a metric's facts; raises UserError with the nearest name for an unknown one."""
    return entry(name).facts


def versions(names: Sequence[str]) -> dict[str, int]:
    """Returns the version of each named metric."""
    return {name: find(name).version for name in names}
