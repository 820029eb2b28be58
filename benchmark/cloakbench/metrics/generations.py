"""What the mimic got: generated images against the artist's references, one value an image or one for the set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from torch import Tensor

from cloakbench.datasets.procedural import styles
from cloakbench.errors import UserError
from cloakbench.images import Pixels
from cloakbench.metrics import classifier, genres, judge, perceived, sets
from cloakbench.metrics.sets import Doubles
from cloakbench.metrics.spaces import FeatureImages, NotKept, load_clip
from cloakbench.models.loader import BaseModel


class NotApplicable(UserError):  # noqa: N818 - says what is the matter
    """A metric says nothing about this artist: the classifier does not know the class."""


@dataclass(frozen=True, slots=True)
class MeasuredSet:
    """What is measured: generations, the references they are compared with, and whom they imitate."""

    generated: FeatureImages
    references: FeatureImages
    artist: str = ""
    load_model: Callable[[], BaseModel] | None = None
    """Returns the clean base model, for the classifier that is one."""


@dataclass(frozen=True, slots=True)
class GenerationScores:
    """Values by metric, one an image or one for the set, and why the others have none."""

    values: dict[str, list[float]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)


def measure(names: Sequence[str], subject: MeasuredSet) -> GenerationScores:
    """Returns the metrics called `names` in the units of their facts; one that cannot be had is skipped with a reason.

    Reasons: a class that the classifier does not know, images too small or too few, weights missing. Raises NotKept
    where only features were kept, and not those that a metric needs.
    """
    found = GenerationScores()
    for name in names:
        try:
            found.values[name] = METRICS[name](subject)
        except NotKept:
            raise
        except UserError as error:
            found.skipped[name] = error.message
    return found


def style_distance(features: Tensor, references: Tensor) -> Tensor:
    """Returns for each generation `[N]` the mean cosine distance to the references; features of unit length."""
    return 1 - features @ references.mean(0)


def _style_distance(space: str, subject: MeasuredSet) -> list[float]:
    values = style_distance(subject.generated.features(space), subject.references.features(space))
    return [float(value) for value in values.tolist()]


def _style_accuracy(subject: MeasuredSet) -> list[float]:
    asked, style = judge.load(), subject.artist.replace("-", " ")
    if style not in asked.styles:
        raise NotApplicable(f"mini-clip does not know the style of {subject.artist!r}")
    return [float(named == style) for named in asked.named_style(subject.generated.features("mini-clip"))]


def _clip_accuracy(subject: MeasuredSet) -> list[float]:
    known = genres.load()
    if subject.artist not in known.artists:
        raise NotApplicable(f"no genre is known of {subject.artist!r}")
    features = subject.generated.features("clip-b32")
    texts = load_clip("ViT-B-32.pt", subject.generated.device).text_features(known.clip_texts)
    label = known.labels.index(known.artists[subject.artist])
    return [float(hit) for hit in genres.named(features, texts, label, known.top)]


def _diffusion_accuracy(subject: MeasuredSet) -> list[float]:
    if subject.load_model is None:
        raise NotKept("expected the suite's base model, got none")
    model = subject.load_model()
    texts, label = _classes(model, subject.artist)
    likeliest = classifier.most_likely(model, subject.generated.images, texts)
    return [float(label in found) for found in likeliest]


def _classes(model: BaseModel, artist: str) -> tuple[list[str], int]:
    """Returns the texts that a model chooses from, and which is the artist's: styles it learned, or genres."""
    if model.facts.latent_family == "mini":
        learned, style = styles.names("training"), artist.replace("-", " ")
        if style not in learned:
            raise NotApplicable(f"{model.name} has not learned the style of {artist!r}")
        return [f"a painting in the style of {one}" for one in learned], learned.index(style)
    known = genres.load()
    if artist not in known.artists:
        raise NotApplicable(f"no genre is known of {artist!r}")
    return known.diffusion_texts, known.labels.index(known.artists[artist])


def _of_sets(space: str, distance: Callable[[Doubles, Doubles], float], subject: MeasuredSet) -> list[float]:
    x, y = (images.features(space).double().numpy() for images in (subject.generated, subject.references))
    return [distance(x, y)]


def _projected_frechet(subject: MeasuredSet) -> list[float]:
    low = judge.load().projection.double()
    x, y = (images.features("mini-clip").double() for images in (subject.generated, subject.references))
    return [sets.frechet((x @ low).numpy(), (y @ low).numpy())]


def _lengthened_kid(x: Doubles, y: Doubles) -> float:
    """Returns the kernel distance of unit-length features at the length of the root of d, where the kernel bends."""
    return sets.kid(x * x.shape[1] ** 0.5, y * y.shape[1] ** 0.5)


def _perceived(name: str, subject: MeasuredSet) -> list[float]:
    return perceived.perceived(name, subject.generated.images, subject.generated.device)


Score = Callable[[MeasuredSet], list[float]]
METRICS: dict[str, Score] = {
    "style-distance": partial(_style_distance, "mini-clip"),
    "clip-distance": partial(_style_distance, "clip-b32"),
    "style-accuracy": _style_accuracy,
    "clip-accuracy": _clip_accuracy,
    "diffusion-accuracy": _diffusion_accuracy,
    "niqe": partial(_perceived, "niqe"),
    "brisque": partial(_perceived, "brisque"),
    "clip-iqa": partial(_perceived, "clip-iqa"),
    "frechet": _projected_frechet,
    "kid": partial(_of_sets, "mini-clip", _lengthened_kid),
    "precision": partial(_of_sets, "mini-clip", sets.precision),
    "recall": partial(_of_sets, "mini-clip", sets.recall),
    "fid": partial(_of_sets, "inception", sets.frechet),
    "kid-inception": partial(_of_sets, "inception", sets.kid),
    "cmmd": partial(_of_sets, "clip-l14-336", sets.cmmd),
}
ABOUT_AN_ARTIST = frozenset({"style-accuracy", "clip-accuracy", "diffusion-accuracy"})

Measure = Callable[[Sequence[Pixels], Sequence[Pixels]], Sequence[float]]
"""Takes images and references (none where the metric needs none); returns one value an image, or one for the set."""


def _of_images(name: str, images: Sequence[Pixels], references: Sequence[Pixels]) -> list[float]:
    return METRICS[name](MeasuredSet(FeatureImages(images), FeatureImages(references)))


MEASURES: dict[str, Measure] = {name: partial(_of_images, name) for name in METRICS if name not in ABOUT_AN_ARTIST}
"""What `cloakbench measure` can compute of images alone; metrics that need the artist's name are not among it."""
