"""What a metric is: its facts, its needs, and where its code is; and short forms to declare one."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from cloakbench.schemas.suite import MetricFacts

LEAST_SIDE = 8
"""Least side of any image in pixels: a smaller one holds no wave longer than its side."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: what it is, what it needs, and where its code is; a new metric is one entry of `METRICS`."""

    facts: MetricFacts
    target: str
    """`module:function`, imported when the metric is first computed.

    A metric of pairs takes two tensors `[B, 3, H, W]` in [0, 1], the changed one first, and returns `[B]`. A metric of
    generations takes a `generations.MeasuredSet` and returns a list: one value per image, or one value for the set.
    """
    least_side: int = LEAST_SIDE
    """Least side of the images in pixels; only metrics of pairs have one of their own here."""
    of_set: bool = False
    """Whether a metric of pairs needs all of an artist's images of one size together."""
    needs_artist: bool = False
    """Whether it needs to know whom the images imitate, so that `cloakbench measure` cannot compute it."""
    needs_base_model: bool = False
    """Whether the suite's clean base model computes it: that model's weights then belong to the key."""
    needs_prompts: bool = False
    """Whether a metric of edits compares them with their prompts, not with the edits of the clean images."""
    read_with: tuple[str, ...] = ()
    """Metrics of which a suite must name at least one together with this one, because it misleads alone."""

    @property
    def name(self) -> str:
        """The name in suites and on pages."""
        return self.facts.name

    @property
    def compares_pairs(self) -> bool:
        """Whether it compares images one by one with others of the same size."""
        return self.facts.level in ("quality", "edit") and not self.needs_prompts

    def function(self) -> Any:
        """Returns the function that computes it."""
        module, _, name = self.target.partition(":")
        return getattr(importlib.import_module(f"cloakbench.metrics.{module}"), name)


def visibility(
    target: str, unit: str, summary: str, *, least_side: int = LEAST_SIDE, of_set: bool = False, **facts: Any
) -> Metric:
    """Returns a metric of protected images against their originals; lower is better unless `facts` says otherwise."""
    facts = {"level": "quality", "higher_is_better": False, **facts}
    return _metric(target, unit, summary, facts, least_side=least_side, of_set=of_set)


def edit(
    name: str,
    target: str,
    unit: str,
    summary: str,
    *,
    least_side: int = LEAST_SIDE,
    needs_prompts: bool = False,
    **facts: Any,
) -> Metric:
    """Returns a metric of edits of protected images, against the same edits of the clean ones or their prompts."""
    facts = {"name": name, "level": "edit", "higher_is_better": False, **facts}
    return _metric(target, unit, summary, facts, least_side=least_side, needs_prompts=needs_prompts)


def generation(target: str, unit: str, summary: str, better: bool, facts: dict[str, Any], **needs: Any) -> Metric:
    """Returns a metric with one value per generated image; `better`: whether higher values are better."""
    facts = {"level": "generation", "higher_is_better": better, **facts}
    return _metric(target, unit, summary, facts, **needs)


def image_set(target: str, unit: str, summary: str, better: bool, facts: dict[str, Any], **needs: Any) -> Metric:
    """Returns a metric with one value for all generated images; `better`: whether higher values are better."""
    facts = {"level": "set", "higher_is_better": better, **facts}
    return _metric(target, unit, summary, facts, **needs)


def _metric(target: str, unit: str, summary: str, facts: dict[str, Any], **needs: Any) -> Metric:
    """Returns a metric that is named after its function where `facts` has no name."""
    facts = {"name": target.partition(":")[2].replace("_", "-"), **facts}
    return Metric(MetricFacts(unit=unit, summary=summary, **facts), target, **needs)
