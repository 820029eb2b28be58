"""Facts of the metrics of generated images: one by one, and as a set."""

from __future__ import annotations

from cloakbench.schemas.suite import MetricFacts

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
    MetricFacts(
        name="clip-distance",
        version=1,
        level="generation",
        unit="1 - cosine",
        low=0.0,
        high=2.0,
        higher_is_better=True,
        summary="Mean cosine distance of a generation's CLIP ViT-B/32 features to those of the artist's references.",
        weights=("ViT-B-32.pt",),
    ),
    MetricFacts(
        name="clip-accuracy",
        version=1,
        level="generation",
        unit="share",
        low=0.0,
        high=1.0,
        higher_is_better=False,
        summary="Whether CLIP ViT-B/32 has the artist's genre among its three likeliest of 39 (zero-shot; IMPRESS, "
        "after Glaze).",
        needs_reference=False,
        weights=("ViT-B-32.pt",),
    ),
    MetricFacts(
        name="diffusion-accuracy",
        version=1,
        level="generation",
        unit="share",
        low=0.0,
        high=1.0,
        higher_is_better=False,
        summary="Whether the suite's clean base model has the artist's genre, or the style it learned, among its "
        "three likeliest (zero-shot; Li et al. 2023, rounds of IMPRESS).",
        needs_reference=False,
    ),
    MetricFacts(
        name="niqe",
        version=1,
        level="generation",
        unit="quality",
        low=0.0,
        high=None,
        higher_is_better=True,
        summary="Natural image quality evaluator (Mittal et al. 2013), by pyiqa, on Y: how far an image is from "
        "natural ones. Says nothing of style, and saturates; needs 192 pixels a side.",
        needs_reference=False,
        weights=("niqe_modelparameters.mat",),
    ),
    MetricFacts(
        name="brisque",
        version=1,
        level="generation",
        unit="quality",
        low=None,
        high=None,
        higher_is_better=True,
        summary="Blind spatial quality evaluator (Mittal et al. 2012), by pyiqa, on Y; may be negative. Says nothing "
        "of style, and saturates.",
        needs_reference=False,
        weights=("brisque_svm_weights.pth",),
    ),
    MetricFacts(
        name="clip-iqa",
        version=1,
        level="generation",
        unit="quality",
        low=0.0,
        high=1.0,
        higher_is_better=False,
        summary="CLIP-IQA (Wang et al. 2023), by pyiqa, RN50, five pairs of prompts: how good an image looks. Says "
        "nothing of style.",
        needs_reference=False,
        weights=("RN50.pt",),
    ),
    MetricFacts(
        name="fid",
        version=1,
        level="set",
        unit="distance",
        low=0.0,
        high=None,
        higher_is_better=True,
        summary="Frechet Inception distance (Heusel et al. 2017) to the original artworks, clean-fid's features and "
        "resizing. Over fewer images than the 2048 feature dimensions it is biased upwards: compare equal "
        "numbers of images only, and read it with kid-inception or cmmd.",
        weights=("inception-2015-12-05.pt",),
    ),
    MetricFacts(
        name="kid-inception",
        version=1,
        level="set",
        unit="MMD^2",
        low=None,
        high=None,
        higher_is_better=True,
        summary="Kernel Inception distance (Binkowski et al. 2018) on clean-fid's features: unbiased, over all pairs; "
        "it may be slightly negative.",
        weights=("inception-2015-12-05.pt",),
    ),
    MetricFacts(
        name="cmmd",
        version=1,
        level="set",
        unit="1000 MMD^2",
        low=0.0,
        high=None,
        higher_is_better=True,
        summary="CLIP maximum mean discrepancy (Jayasumana et al. 2024): CLIP ViT-L/14 at 336 pixels, Gaussian kernel "
        "of sigma 10, times 1000.",
        weights=("ViT-L-14-336px.pt",),
    ),
    MetricFacts(
        name="precision",
        version=1,
        level="set",
        unit="share",
        low=0.0,
        high=1.0,
        higher_is_better=False,
        summary="Share of generations on the manifold of the references (Kynkaanniemi et al. 2019), three neighbours, "
        "on mini-clip features.",
    ),
    MetricFacts(
        name="recall",
        version=1,
        level="set",
        unit="share",
        low=0.0,
        high=1.0,
        higher_is_better=False,
        summary="Share of references on the manifold of the generations (Kynkaanniemi et al. 2019), three neighbours, "
        "on mini-clip features; comparable between equal numbers of generations only.",
    ),
)
