"""The metrics of what mimics generate, each declared once. Readable without torch."""

from __future__ import annotations

from typing import Any

from cloakbench.metrics.metric import Metric, generation, image_set

SHARE: dict[str, Any] = {"high": 1.0}
ALONE: dict[str, Any] = {"needs_reference": False}
UNBOUNDED: dict[str, Any] = {"low": None}

ENTRIES: tuple[Metric, ...] = (
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
        "Whether it is a picture at all, by mini-viewer: 1 as intact as the references, 0 as ruins are (artefacts, "
        "chaos of colours, collapse).",
        False,
        SHARE | {"weights": ("mini-viewer.safetensors",)},
    ),
    generation(
        "generations:subject",
        "share",
        "Whether mini-clip, choosing among its ten subjects, names the one of the prompt (zero-shot).",
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
        "Whether mini-clip, choosing among all its styles, names the artist (zero-shot).",
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
"""In the order of `cloakbench list metrics`."""
