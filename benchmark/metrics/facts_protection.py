"""Facts of the metrics of generated images: one by one, and as a set."""

from __future__ import annotations

from benchmark.suites.schema import MetricFacts

PROTECTION: tuple[MetricFacts, ...] = (
    MetricFacts(
        name="style-distance",
        version=1,
        level="generation",
        unit="1 - cosine",
        low=0.0,
        high=2.0,
        higher_is_better=True,
        summary="Mean cosine distance of a generation's mini-clip features to those of the artist's references.",
    ),
    MetricFacts(
        name="style-accuracy",
        version=1,
        level="generation",
        unit="share",
        low=0.0,
        high=1.0,
        higher_is_better=False,
        summary="Whether mini-clip, asked for the style among all it knows, names the artist (zero-shot).",
    ),
    MetricFacts(
        name="frechet",
        version=1,
        level="set",
        unit="distance",
        low=0.0,
        high=None,
        higher_is_better=True,
        summary="Frechet distance to the references over a fixed 8-dimensional projection of mini-clip features. "
        "Biased upwards by the small number of references; compare arms, not papers.",
    ),
    MetricFacts(
        name="kid",
        version=1,
        level="set",
        unit="MMD^2",
        low=None,
        high=None,
        higher_is_better=True,
        summary="Kernel distance (Binkowski et al. 2018): unbiased squared MMD with the cubic kernel on mini-clip "
        "features, over all pairs; it may be slightly negative.",
    ),
)
