"""Metrics of an artist's changes together: each image has a value, whose mean is a number of the set."""

from __future__ import annotations

from cloakbench.metrics.metric import visibility

UNIVERSAL_SHARE = visibility(
    "budget:universal_share",
    "share",
    "Share of the change that an artist's images have in common, |mean delta|^2 / mean |delta|^2: an attacker who "
    "averages the images can see it. The mean over the images counts; about 1 divided by their number where each has a "
    "change of its own.",
    of_set=True,
    low=None,
)
