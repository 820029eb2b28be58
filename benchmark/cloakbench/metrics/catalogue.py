"""The metrics: each declared once, with its facts and the function that computes it. Readable without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cloakbench.errors import unknown
from cloakbench.metrics.metric import Metric, edit, generation, image_set, visibility
from cloakbench.metrics.of_sets import UNIVERSAL_SHARE
from cloakbench.schemas.suite import MetricFacts

_VGG = "vgg16-397923af.pth"
SHARE: dict[str, Any] = {"high": 1.0}
ALONE: dict[str, Any] = {"needs_reference": False}
UNBOUNDED: dict[str, Any] = {"low": None}

METRICS: tuple[Metric, ...] = (
    # Least sides: the window at the coarsest scale; for networks, what their strides reduce to one value. `vif-wavelet`
    # has numbers below 65 pixels too, but without its coarsest scale; the longest wave of `fsim` has 48 pixels.
    visibility(
        "quality:mini_lpips",
        "distance",
        "Perceptual distance in LPIPS's form on the project's own small features; not LPIPS itself.",
        weights=("mini-lpips.safetensors",),
    ),
    visibility(
        "quality:ssim",
        "similarity",
        "Structural similarity (Wang et al. 2004), by pyiqa, on the Y channel.",
        least_side=11,
        low=-1.0,
        high=1.0,
        higher_is_better=True,
    ),
    visibility(
        "quality:psnr",
        "dB",
        "Peak signal-to-noise ratio over RGB, by pyiqa; 80 dB stands for equal images.",
        high=80.0,
        higher_is_better=True,
    ),
    visibility("quality:gmsd", "deviation", "Gradient magnitude similarity deviation (Xue et al. 2014), by pyiqa."),
    visibility("budget:linf", "1/255", "Largest change of any pixel on the saved 8-bit PNG.", high=255.0),
    visibility(
        "budget:mean_change", "1/255", "Mean absolute change over all values of the saved 8-bit PNG.", high=255.0
    ),
    visibility(
        "budget:l2",
        "1/255",
        "Root of the sum of squared changes over pixels and channels on the saved 8-bit PNG; it grows with the image.",
    ),
    visibility(
        "budget:low_frequency",
        "share",
        "Share of the change's energy in waves longer than 8 pixels (below 1/8 of the sampling rate in the DFT of each "
        "channel, the mean included). This project's own measure: it describes the change, neither end is better by "
        "itself. 0 for equal images.",
        high=1.0,
    ),
    UNIVERSAL_SHARE,
    visibility(
        "budget:ciede2000",
        "Delta E",
        "Mean CIEDE2000 colour difference over pixels (Sharma et al. 2005), by scikit-image, sRGB under D65.",
    ),
    visibility(
        "quality:dists",
        "distance",
        "Deep image structure and texture similarity (Ding et al. 2020), by pyiqa, on VGG16.",
        least_side=16,
        weights=(_VGG, "DISTS_weights-f5e65c96.pth"),
    ),
    visibility(
        "quality:pieapp",
        "perceptual error",
        "Perceptual image-error assessment through pairwise preference v0.1 (Prashnani et al. 2018), by pyiqa: patches "
        "of 64 pixels, 27 apart, taken once.",
        least_side=64,
        low=None,
        weights=("PieAPPv0.1-0937b014.pth",),
    ),
    visibility(
        "quality:topiq_fr",
        "quality",
        "TOPIQ with reference (Chen et al. 2024), by pyiqa, on ResNet-50, trained on KADID-10k.",
        least_side=32,
        low=None,
        higher_is_better=True,
        weights=("cfanet_fr_kadid_res50-2c4cc61d.pth",),
    ),
    visibility(
        "quality:lpips_alex",
        "distance",
        "Learned perceptual distance v0.1 on AlexNet (Zhang et al. 2018), by pyiqa.",
        least_side=31,
        weights=("alexnet-owt-7be5be79.pth", "LPIPS_v0.1_alex-df73285e.pth"),
    ),
    visibility(
        "quality:lpips_vgg",
        "distance",
        "Learned perceptual distance v0.1 on VGG16 (Zhang et al. 2018), by pyiqa; not comparable with lpips-alex.",
        least_side=16,
        weights=(_VGG, "LPIPS_v0.1_vgg-a78928a0.pth"),
    ),
    visibility(
        "quality:ms_ssim",
        "similarity",
        "Multi-scale structural similarity (Wang et al. 2003), by pyiqa, five scales, on the Y channel; needs 161 "
        "pixels a side.",
        least_side=161,
        high=1.0,
        higher_is_better=True,
    ),
    visibility(
        "quality:vif_wavelet",
        "fidelity",
        "Visual information fidelity in its wavelet form (Sheikh and Bovik 2006), by pyiqa, on the Y channel; not the "
        "pixel form of edit-vif. Above 1 where contrast was gained.",
        least_side=65,
        higher_is_better=True,
    ),
    visibility(
        "quality:fsim",
        "similarity",
        "Feature similarity in its colour form FSIMc (Zhang et al. 2011), by pyiqa.",
        least_side=48,
        high=1.0,
        higher_is_better=True,
    ),
    edit(
        "edit-ssim",
        "quality:ssim",
        "similarity",
        "Structural similarity (Wang et al. 2004), by pyiqa, on the Y channel, of the edit of the protected image to "
        "the same edit of the clean one.",
        least_side=11,
        low=-1.0,
        high=1.0,
    ),
    edit(
        "edit-psnr",
        "quality:psnr",
        "dB",
        "Peak signal-to-noise ratio over RGB, by pyiqa, of the edit of the protected image against the same edit of "
        "the clean one; 80 dB stands for equal edits.",
        high=80.0,
    ),
    edit(
        "edit-vif",
        "editing:vif",
        "fidelity",
        "Visual information fidelity in its pixel-domain form VIF-p (Sheikh and Bovik 2006), by torchmetrics, mean "
        "over R, G and B: how much of the clean image's edit an eye finds in the protected one's. 1 for equal edits.",
        least_side=41,
        version=2,
    ),
    generation(
        "generations:imitation_distance",
        "share",
        "How far a picture is from an intact work in the artist's style: 1 - soundness x style, by mini-viewer. 0 for "
        "the artist's own pictures, 1 for another style and for what is no picture.",
        True,
        {"high": 1.0, "weights": ("mini-viewer.safetensors",)},
    ),
    generation(
        "generations:style",
        "share",
        "Likeness of style to the artist's references by mini-viewer: 1 as they are like each other, 0 as pictures of "
        "other styles are.",
        False,
        SHARE | {"weights": ("mini-viewer.safetensors",)},
    ),
    generation(
        "generations:soundness",
        "share",
        "How certainly it is an intact picture and no ruin (artefacts, chaos of colours, collapse), by mini-viewer.",
        False,
        SHARE | ALONE | {"weights": ("mini-viewer.safetensors",)},
    ),
    generation(
        "generations:subject",
        "share",
        "Whether mini-clip, asked for the subject among the ten it knows, names the one of the prompt (zero-shot).",
        False,
        SHARE | ALONE,
    ),
    generation(
        "generations:style_distance",
        "1 - cosine",
        "Mean cosine distance of a generation's mini-clip features to those of the artist's references.",
        True,
        {"high": 2.0},
    ),
    generation(
        "generations:style_accuracy",
        "share",
        "Whether mini-clip, asked for the style among all it knows, names the artist (zero-shot).",
        False,
        SHARE,
        needs_artist=True,
    ),
    image_set(
        "generations:frechet",
        "distance",
        "Frechet distance to the references over a fixed 8-dimensional projection of mini-clip features. Biased "
        "upwards by the small number of references; compare arms, not papers.",
        True,
        {},
    ),
    image_set(
        "generations:kid",
        "MMD^2",
        "Kernel distance (Binkowski et al. 2018): unbiased squared MMD with the cubic kernel on mini-clip features, "
        "over all pairs; it may be slightly negative.",
        True,
        UNBOUNDED,
    ),
    generation(
        "generations:clip_distance",
        "1 - cosine",
        "Mean cosine distance of a generation's CLIP ViT-B/32 features to those of the artist's references.",
        True,
        {"high": 2.0, "weights": ("ViT-B-32.pt",)},
    ),
    generation(
        "generations:clip_accuracy",
        "share",
        "Whether CLIP ViT-B/32 has the artist's genre among its three likeliest of 39 (zero-shot; IMPRESS, after "
        "Glaze).",
        False,
        SHARE | ALONE | {"weights": ("ViT-B-32.pt",)},
        needs_artist=True,
    ),
    generation(
        "generations:diffusion_accuracy",
        "share",
        "Whether the suite's clean base model has the artist's genre, or the style it learned, among its three "
        "likeliest (zero-shot; Li et al. 2023, rounds of IMPRESS).",
        False,
        SHARE | ALONE,
        needs_artist=True,
        needs_base_model=True,
    ),
    generation(
        "generations:niqe",
        "quality",
        "Natural image quality evaluator (Mittal et al. 2013), by pyiqa, on Y: how far an image is from natural ones. "
        "Says nothing of style, and saturates; needs 192 pixels a side.",
        True,
        ALONE | {"weights": ("niqe_modelparameters.mat",)},
    ),
    generation(
        "generations:brisque",
        "quality",
        "Blind spatial quality evaluator (Mittal et al. 2012), by pyiqa, on Y; may be negative. Says nothing of style, "
        "and saturates.",
        True,
        ALONE | UNBOUNDED | {"weights": ("brisque_svm_weights.pth",)},
    ),
    generation(
        "generations:clip_iqa",
        "quality",
        "CLIP-IQA (Wang et al. 2023), by pyiqa, RN50, five pairs of prompts: how good an image looks. Says nothing of "
        "style.",
        False,
        SHARE | ALONE | {"weights": ("RN50.pt",)},
    ),
    image_set(
        "generations:fid",
        "distance",
        "Frechet Inception distance (Heusel et al. 2017) to the original artworks, clean-fid's features and resizing. "
        "Over fewer images than the 2048 feature dimensions it is biased upwards: compare equal numbers of images "
        "only, and read it with kid-inception or cmmd.",
        True,
        {"weights": ("inception-2015-12-05.pt",)},
        read_with=("kid-inception", "cmmd"),
    ),
    image_set(
        "generations:kid_inception",
        "MMD^2",
        "Kernel Inception distance (Binkowski et al. 2018) on clean-fid's features: unbiased, over all pairs; it may "
        "be slightly negative.",
        True,
        UNBOUNDED | {"weights": ("inception-2015-12-05.pt",)},
    ),
    image_set(
        "generations:cmmd",
        "1000 MMD^2",
        "CLIP maximum mean discrepancy (Jayasumana et al. 2024): CLIP ViT-L/14 at 336 pixels, Gaussian kernel of sigma "
        "10, times 1000.",
        True,
        {"weights": ("ViT-L-14-336px.pt",)},
    ),
    image_set(
        "generations:precision",
        "share",
        "Share of generations on the manifold of the references (Kynkaanniemi et al. 2019), three neighbours, on "
        "mini-clip features.",
        False,
        SHARE,
    ),
    image_set(
        "generations:recall",
        "share",
        "Share of references on the manifold of the generations (Kynkaanniemi et al. 2019), three neighbours, on "
        "mini-clip features; comparable between equal numbers of generations only.",
        False,
        SHARE,
    ),
)
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
