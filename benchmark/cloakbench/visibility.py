"""How visible a protection is, against the limits of a suite."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cloakbench.images import Pixels, measure_budget
from cloakbench.metrics import quality
from cloakbench.suites import load as suites

SUITE = "mini"


def describe(originals: Sequence[Pixels], changed: Sequence[Pixels]) -> str:
    """Returns in one line how visible a change is, means over the images, with the limits of the suite `mini`.

    Args:
        originals: Images `[H, W, 3]`, uint8.
        changed: The same images with the change.
    """
    suite = suites.load(SUITE)
    matching = suite.matching
    assert matching is not None
    values = quality.measure(["psnr", *matching.limited], changed, originals)
    budgets = []
    for before, after in zip(originals, changed, strict=True):
        budgets.append(measure_budget(before, after).max_255)
    parts = [f"linf {max(budgets):.0f} of {suite.budget_255}", f"PSNR {np.mean(values['psnr']):.1f} dB"]
    is_within = [True] * len(matching.targets)
    for metric in matching.limited:
        value = float(np.mean(values[metric]))
        limits = [matching.limits(target)[metric] for target in matching.targets]
        for number, limit in enumerate(limits):
            is_within[number] &= value <= limit
        parts.append(f"{metric} {value:.3f} (limits {', '.join(f'{limit:g}' for limit in limits)})")
    verdict = f"within {sum(is_within)} of the {len(is_within)} limits of {suite.name}"
    if not is_within[len(is_within) // 2]:
        verdict += "; a run calibrates a weaker strength"
    return f"{', '.join(parts)}: {verdict}"
