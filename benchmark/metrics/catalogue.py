"""What is measured: frozen facts and where the code is, readable without torch."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.errors import unknown
from benchmark.suites.schema import MetricFacts

METRICS: tuple[MetricFacts, ...] = (
    MetricFacts(
        name="mini-lpips",
        version=1,
        level="quality",
        unit="distance",
        low=0.0,
        high=None,
        higher_is_better=False,
        summary="Perceptual distance in LPIPS's form on the project's own small features; not LPIPS itself.",
    ),
    MetricFacts(
        name="ssim",
        version=1,
        level="quality",
        unit="similarity",
        low=-1.0,
        high=1.0,
        higher_is_better=True,
        summary="Structural similarity (Wang et al. 2004), by pyiqa, on the Y channel.",
    ),
    MetricFacts(
        name="psnr",
        version=1,
        level="quality",
        unit="dB",
        low=0.0,
        high=80.0,
        higher_is_better=True,
        summary="Peak signal-to-noise ratio over RGB, by pyiqa; 80 dB stands for equal images.",
    ),
    MetricFacts(
        name="gmsd",
        version=1,
        level="quality",
        unit="deviation",
        low=0.0,
        high=None,
        higher_is_better=False,
        summary="Gradient magnitude similarity deviation (Xue et al. 2014), by pyiqa.",
    ),
    MetricFacts(
        name="linf",
        version=1,
        level="quality",
        unit="1/255",
        low=0.0,
        high=255.0,
        higher_is_better=False,
        summary="Largest change of any pixel on the saved 8-bit PNG.",
    ),
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
    MetricFacts(
        name="edit-ssim",
        version=1,
        level="edit",
        unit="similarity",
        low=-1.0,
        high=1.0,
        higher_is_better=False,
        summary="Structural similarity (Wang et al. 2004), by pyiqa, on the Y channel, of the edit of the protected "
        "image to the same edit of the clean one.",
    ),
    MetricFacts(
        name="edit-psnr",
        version=1,
        level="edit",
        unit="dB",
        low=0.0,
        high=80.0,
        higher_is_better=False,
        summary="Peak signal-to-noise ratio over RGB, by pyiqa, of the edit of the protected image against the same "
        "edit of the clean one; 80 dB stands for equal edits.",
    ),
    MetricFacts(
        name="edit-vif",
        version=1,
        level="edit",
        unit="fidelity",
        low=0.0,
        high=None,
        higher_is_better=False,
        summary="Visual information fidelity in its pixel-domain form VIF-p (Sheikh and Bovik 2006), mean over R, G "
        "and B: how much of the clean image's edit an eye finds in the protected one's. 1 for equal edits.",
    ),
)
BY_NAME = {metric.name: metric for metric in METRICS}


def find(name: str) -> MetricFacts:
    """Returns a metric's facts; raises UserError with the nearest name for an unknown one."""
    if name in BY_NAME:
        return BY_NAME[name]
    raise unknown("a metric", name, BY_NAME, "metrics")


def versions(names: Sequence[str]) -> dict[str, int]:
    """Returns the version of each named metric."""
    return {name: find(name).version for name in names}
