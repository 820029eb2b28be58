"""Metrics of generated images against the artist's references: one value per image, or one for the set."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from cloakbench.datasets.procedural import scenes, styles
from cloakbench.errors import UserError
from cloakbench.metrics import catalogue, classifier, genres, imitation, judge, perceived, sets
from cloakbench.metrics.sets import Doubles
from cloakbench.metrics.spaces import FeatureImages, NotKept, load_clip
from cloakbench.models.loader import BaseModel
from cloakbench.schemas.suite import Suite


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
    prompts: Sequence[str] = ()
    """The prompt of each generation; empty where prompts are unknown."""


@dataclass(frozen=True, slots=True)
class GenerationScores:
    """Values by metric, one per image or one for the set, and why the others have none."""

    values: dict[str, list[float]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)


def measure(names: Sequence[str], subject: MeasuredSet) -> GenerationScores:
    """Returns the metrics called `names` in the units of their facts; one without a value is skipped with the reason.

    Reasons: an unknown class, images too small or too few, weights missing. Raises NotKept
    where only features were kept, and not those that a metric needs.
    """
    scores = GenerationScores()
    for name in names:
        try:
            scores.values[name] = catalogue.entry(name).function()(subject)
        except NotKept:
            raise
        except UserError as error:
            scores.skipped[name] = error.message
    return scores


def imitation_distance(subject: MeasuredSet) -> list[float]:
    """Returns for each generation 1 - soundness x style, in [0, 1]: 0 for an intact work in the artist's style."""
    return _values(_likeness(subject).distance)


def style(subject: MeasuredSet) -> list[float]:
    """Returns each generation's likeness of style to the references, in [0, 1], by mini-viewer."""
    return _values(_likeness(subject).style)


def _values(values: Tensor) -> list[float]:
    """Returns the values of a tensor `[N]` as numbers."""
    numbers: list[float] = values.tolist()
    return numbers


def _likeness(subject: MeasuredSet) -> imitation.Likeness:
    generated, references = subject.generated.features("mini-viewer"), subject.references.features("mini-viewer")
    return imitation.likeness(generated, references)


def soundness(subject: MeasuredSet) -> list[float]:
    """Returns whether each generation is a picture and no ruin, in [0, 1], by mini-viewer; 1 as the references are."""
    return _values(_likeness(subject).soundness)


def subject(subject: MeasuredSet) -> list[float]:
    """Returns 1 for each generation whose subject mini-clip names as its prompt does, else 0; raises NotApplicable."""
    prompted = [_subject_of(prompt) for prompt in subject.prompts]
    features = subject.generated.features("mini-clip")
    if len(prompted) != len(features):
        raise NotApplicable(f"expected what each of {len(features)} pictures shows, got {len(prompted)} texts")
    texts = judge.load().text_features([f"a painting of a {name}" for name in scenes.SUBJECTS])
    nearest = (features @ texts.T).argmax(1)
    positions = list(map(list(scenes.SUBJECTS).index, prompted))
    return _values((nearest == torch.tensor(positions, device=nearest.device)).float())


def _subject_of(text: str) -> str:
    """Returns the subject that a text names; raises NotApplicable unless it names exactly one of mini-clip's."""
    words = set(re.findall("[a-z]+", text.lower()))
    named = [name for name in scenes.SUBJECTS if name in words]
    if len(named) != 1:
        raise NotApplicable(f"expected one subject of {', '.join(scenes.SUBJECTS)} in {text[:60]!r}, got {len(named)}")
    return named[0]


def style_distances(features: Tensor, references: Tensor) -> Tensor:
    """Returns for each generation `[N]` the mean cosine distance to the references; features of unit length."""
    return 1 - features @ references.mean(0)


def style_distance(subject: MeasuredSet) -> list[float]:
    """Returns each generation's mean cosine distance to the references, in [0, 2], by mini-clip."""
    return _distances("mini-clip", subject)


def clip_distance(subject: MeasuredSet) -> list[float]:
    """Returns each generation's mean cosine distance to the references, in [0, 2], by CLIP ViT-B/32."""
    return _distances("clip-b32", subject)


def _distances(space: str, subject: MeasuredSet) -> list[float]:
    return _values(style_distances(subject.generated.features(space), subject.references.features(space)))


def style_accuracy(subject: MeasuredSet) -> list[float]:
    """Returns 1 for each generation whose style mini-clip names rightly, else 0; raises NotApplicable."""
    clip, style = judge.load(), subject.artist.replace("-", " ")
    if style not in clip.styles:
        raise NotApplicable(f"mini-clip does not know the style of {subject.artist!r}")
    named = clip.named_style(subject.generated.features("mini-clip"))
    return [float(name == style) for name in named]


def clip_accuracy(subject: MeasuredSet) -> list[float]:
    """Returns 1 for each generation that CLIP finds to be of the artist's genre, else 0; raises NotApplicable."""
    table = genres.load()
    label = _genre(table, subject.artist)
    features = subject.generated.features("clip-b32")
    texts = load_clip("ViT-B-32.pt", subject.generated.device).text_features(table.clip_texts)
    return list(map(float, genres.named(features, texts, label, table.top)))


def diffusion_accuracy(subject: MeasuredSet) -> list[float]:
    """Returns 1 for each generation that the clean base model finds to be of the artist's class, else 0.

    Raises NotApplicable for an artist without a class, NotKept where there is no base model or no image.
    """
    if subject.load_model is None:
        raise NotKept("expected the suite's base model, got none")
    model = subject.load_model()
    texts, label = _classes(model, subject.artist)
    likeliest = classifier.most_likely(model, subject.generated.images, texts)
    return [float(label in positions) for positions in likeliest]


def _classes(model: BaseModel, artist: str) -> tuple[list[str], int]:
    """Returns the texts that a model chooses from, and which is the artist's: styles it learned, or genres."""
    if model.facts.latent_family != "mini":
        table = genres.load()
        return table.diffusion_texts, _genre(table, artist)
    learned, style = styles.names("training"), artist.replace("-", " ")
    if style not in learned:
        raise NotApplicable(f"{model.name} has not learned the style of {artist!r}")
    return [f"a painting in the style of {name}" for name in learned], learned.index(style)


def _genre(table: genres.Genres, artist: str) -> int:
    """Returns the position of an artist's genre among the labels; raises NotApplicable for one without."""
    if artist not in table.artists:
        raise NotApplicable(f"no genre is known of {artist!r}")
    return table.labels.index(table.artists[artist])


def edit_texts(suite: Suite, count: int) -> list[str]:
    """Returns the prompt of each edit of `count` images: every image under each of the suite's prompts."""
    return [text.format(class_word=suite.class_word) for text in suite.edit_prompts] * count


def adherence(subject: MeasuredSet) -> list[float]:
    """Returns each picture's cosine similarity to its prompt, in [-1, 1], by CLIP ViT-B/32; raises NotApplicable."""
    features = subject.generated.features("clip-b32")
    if len(subject.prompts) != len(features):
        raise NotApplicable(f"expected a prompt for each of {len(features)} pictures, got {len(subject.prompts)}")
    texts = load_clip("ViT-B-32.pt", subject.generated.device).text_features(subject.prompts)
    return _values((features * texts).sum(1))


def niqe(subject: MeasuredSet) -> list[float]:
    """Returns NIQE of each generation: lower looks more natural."""
    return perceived.perceived("niqe", subject.generated.images, subject.generated.device)


def brisque(subject: MeasuredSet) -> list[float]:
    """Returns BRISQUE of each generation: lower looks more natural."""
    return perceived.perceived("brisque", subject.generated.images, subject.generated.device)


def clip_iqa(subject: MeasuredSet) -> list[float]:
    """Returns CLIP-IQA of each generation, in [0, 1]: higher looks better."""
    return perceived.perceived("clip-iqa", subject.generated.images, subject.generated.device)


def frechet(subject: MeasuredSet) -> list[float]:
    """Returns the Frechet distance over the fixed projection of mini-clip features."""
    low = judge.load().projection.double()
    x = subject.generated.features("mini-clip").double() @ low
    y = subject.references.features("mini-clip").double() @ low
    return [sets.frechet(x.numpy(), y.numpy())]


def kid(subject: MeasuredSet) -> list[float]:
    """Returns the kernel distance of mini-clip features, scaled to the length of the root of d, where the kernel bends.

    The features have unit length, and the cubic kernel is nearly linear over them.
    """
    x, y = _features("mini-clip", subject)
    return [sets.kid(x * x.shape[1] ** 0.5, y * y.shape[1] ** 0.5)]


def precision(subject: MeasuredSet) -> list[float]:
    """Returns the share of generations on the manifold of the references, by mini-clip."""
    return [sets.precision(*_features("mini-clip", subject))]


def recall(subject: MeasuredSet) -> list[float]:
    """Returns the share of references on the manifold of the generations, by mini-clip."""
    return [sets.recall(*_features("mini-clip", subject))]


def fid(subject: MeasuredSet) -> list[float]:
    """Returns the Frechet Inception distance to the references."""
    return [sets.frechet(*_features("inception", subject))]


def kid_inception(subject: MeasuredSet) -> list[float]:
    """Returns the kernel Inception distance to the references."""
    return [sets.kid(*_features("inception", subject))]


def cmmd(subject: MeasuredSet) -> list[float]:
    """Returns the CLIP maximum mean discrepancy to the references, times 1000."""
    return [sets.cmmd(*_features("clip-l14-336", subject))]


def _features(space: str, subject: MeasuredSet) -> tuple[Doubles, Doubles]:
    """Returns the features `[N, d]` and `[M, d]` of the generations and the references."""
    generated, references = subject.generated.features(space), subject.references.features(space)
    return generated.double().numpy(), references.double().numpy()
