"""Any metric on two images or two folders."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from cloakbench import progress
from cloakbench.errors import UserError
from cloakbench.image_files import read_folder, read_image
from cloakbench.images import Pixels
from cloakbench.metrics import catalogue, quality, weights
from cloakbench.metrics.comparing import checked
from cloakbench.metrics.generations import MeasuredSet
from cloakbench.metrics.metric import Metric
from cloakbench.metrics.spaces import FeatureImages
from cloakbench.models.loader import default_device

_SENTENCE_END = re.compile(r"(?<! al)\.\s")
"""Of a summary, in which "et al." ends no sentence."""


@dataclass(frozen=True, slots=True)
class MetricResult:
    """One metric's result: the mean over images, or the set's one value, in the unit of its facts."""

    metric: str
    version: int
    value: float
    n: int
    """Images that it was computed from, references not counted."""
    meaning: str = ""
    """What the value says, in one sentence."""


def measure_images(
    metrics: Sequence[str],
    images: Sequence[Pixels],
    references: Sequence[Pixels],
    device: str | None = None,
    prompts: Sequence[str] = (),
) -> list[MetricResult]:
    """Measures images against references.

    Args:
        metrics: Names of metrics.
        images: Images `[H, W, 3]`.
        references: For metrics of pairs the originals in the same order, for metrics of sets any images; may be empty
            where no metric needs them.
        device: Where models compute; a GPU where there is one by default.
        prompts: For the metric `subject`, what each image was to show, in words.

    Returns:
        One result per metric, in the order of their names.

    Raises:
        UserError: A metric is unknown, its weights or references are missing, or it cannot take the images.
    """
    entries = _check_metrics(metrics, has_references=bool(references))
    pairs = [entry for entry in entries if entry.compares_pairs]
    of_sets = [entry for entry in entries if not entry.compares_pairs]
    if pairs and len(images) != len(references):
        raise UserError(
            f"expected one reference per image for {pairs[0].name!r}, got {len(images)} images and "
            f"{len(references)} references",
            "Give them in the same order.",
        )
    target = device or str(default_device())
    results = _of_pairs(pairs, images, references, target)
    compared = MeasuredSet(FeatureImages(images, target), FeatureImages(references, target), prompts=prompts)
    results += [_of_set(entry, compared) for entry in of_sets]
    order = list(metrics)
    return sorted(results, key=lambda result: order.index(result.metric))


def measure_paths(
    metrics: Sequence[str], image: Path, reference: Path | None, device: str | None = None
) -> list[MetricResult]:
    """Returns each metric of `image` against `reference`: two image files, or two folders.

    Folders are paired by file name without its ending for metrics of pairs, and taken as sets for the others. A file's
    name also says what the image was to show (`boat-01.png`), for the metric `subject`. Raises
    UserError as `measure_images` does, and for unpaired names and images that cannot be read.
    """
    entries = _check_metrics(metrics, has_references=reference is not None)
    images, references = _read(image), _read(reference) if reference else {}
    if references and image.is_dir() != (reference is not None and reference.is_dir()):
        raise UserError(f"expected two files or two folders, got {image} and {reference}", "Give two of a kind.")
    progress.say(f"{len(images)} images and {len(references)} references, {len(entries)} metrics")
    changed, originals = list(images.values()), list(references.values())
    if any(entry.compares_pairs for entry in entries):
        changed, originals = _paired(images, references)
        return measure_images(metrics, changed, originals, device)
    return measure_images(metrics, changed, originals, device, list(images))


def _check_metrics(metrics: Sequence[str], has_references: bool) -> list[Metric]:
    """Returns the metrics, each once; raises UserError where one is unknown or lacks its references or weights."""
    entries = [_measurable(name) for name in dict.fromkeys(metrics)]
    if not entries:
        raise UserError("expected at least one metric, got none", "`cloakbench list metrics` shows all.")
    needing = [entry.name for entry in entries if entry.facts.needs_reference]
    if needing and not has_references:
        raise UserError(
            f"expected --reference for {', '.join(needing)}, got none", "Name the image or folder to compare with."
        )
    weights.require(list(dict.fromkeys(metrics)))
    return entries


def _measurable(name: str) -> Metric:
    entry = catalogue.entry(name)
    if entry.needs_artist:
        choices = ", ".join(metric.name for metric in catalogue.METRICS if not metric.needs_artist)
        raise UserError(
            f"expected a metric of two images or folders ({choices}), got {name!r}",
            "It needs to know the artist: a run of a suite measures it.",
        )
    return entry


def _read(path: Path) -> dict[str, Pixels]:
    """Returns an image, or a folder's images, by name without ending; raises UserError where `image_files` does."""
    if path.is_dir():
        images = read_folder(path)
    elif path.is_file():
        images = {path.name: read_image(path)}
    else:
        raise UserError(f"expected an image or a folder of images, got {path}", "Give the path of an existing one.")
    by_stem = {Path(name).stem: pixels for name, pixels in images.items()}
    if len(by_stem) < len(images):
        raise UserError(
            f"expected one image of a name in {path}, got several that differ in their ending", "Rename or remove one."
        )
    return by_stem


def _of_pairs(
    entries: Sequence[Metric], images: Sequence[Pixels], references: Sequence[Pixels], device: str
) -> list[MetricResult]:
    if not entries:
        return []
    values = quality.measure([entry.name for entry in entries], images, references, device)
    return [_result(entry, values[entry.name], len(images)) for entry in entries]


def _result(entry: Metric, values: Sequence[float], count: int) -> MetricResult:
    meaning = _SENTENCE_END.split(entry.facts.summary, maxsplit=1)[0].removesuffix(".")
    return MetricResult(entry.name, entry.facts.version, fmean(values), count, meaning)


def _paired(images: Mapping[str, Pixels], references: Mapping[str, Pixels]) -> tuple[list[Pixels], list[Pixels]]:
    """Returns images and their references in one order; two single files are a pair whatever their names."""
    if len(images) == len(references) == 1:
        return list(images.values()), list(references.values())
    if alone := sorted(images.keys() ^ references.keys()):
        shown = ", ".join(alone[:5]) + (", ..." if len(alone) > 5 else "")
        raise UserError(f"expected the same file names in both folders, got {shown} in one alone", "Name them alike.")
    return list(images.values()), [references[name] for name in images]


def _of_set(entry: Metric, subject: MeasuredSet) -> MetricResult:
    generated = checked(subject.generated.images)
    count = len(checked(subject.references.images)) if entry.facts.needs_reference else 0
    if entry.facts.level == "set" and min(len(generated), count) < 2:
        raise UserError(
            f"expected at least 2 images in each set for {entry.name!r}, got {len(generated)} and {count}",
            "Give folders.",
        )
    return _result(entry, entry.function()(subject), len(generated))
