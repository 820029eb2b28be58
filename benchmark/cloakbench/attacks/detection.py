"""How well a detector tells protected images from clean ones; readable without torch."""

from __future__ import annotations

from collections.abc import Sequence

FALSE_POSITIVES = 0.01


def true_positive_rate(clean: Sequence[float], protected: Sequence[float]) -> float:
    """Returns the share of protected images whose score is above that of all but 1 % of the clean ones.

    The threshold is the least score of a clean image that at most 1 % of the clean images exceed.
    """
    allowed = int(FALSE_POSITIVES * len(clean))
    threshold = sorted(clean)[len(clean) - 1 - allowed]
    return sum(score > threshold for score in protected) / len(protected)
