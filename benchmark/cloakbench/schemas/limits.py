"""How much of a limit of visibility an image, or a mean over images, uses."""

from __future__ import annotations

from cloakbench.schemas.suite import MetricFacts

DECIBEL = "dB"


def share_of_limit(facts: MetricFacts, value: float, limit: float) -> float:
    """Returns the share of its limit that a quality metric uses: 0 for unchanged images, 1 at the limit, more past it.

    Distances grow from 0. Decibels count as squared errors, and a similarity counts from its highest value down.

    Example:
        >>> ssim = MetricFacts(name="ssim", level="quality", unit="", high=1.0, higher_is_better=True, summary="")
        >>> share_of_limit(ssim, 0.94, 0.88)
        0.5
    """
    if facts.unit == DECIBEL:
        return 10 ** ((limit - value) / 10)
    if facts.higher_is_better and facts.high is not None:
        return (facts.high - value) / (facts.high - limit)
    return value / limit
