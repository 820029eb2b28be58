"""Any metric on two images or two folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from cloakbench.errors import UserError
from cloakbench.image_files import read_folder, read_image
from cloakbench.images import Pixels
from cloakbench.metrics import catalogue, quality, weights
from cloakbench.metrics.comparing import checked
from cloakbench.metrics.generations import MeasuredSet
from cloakbench.metrics.metric import Metric
from cloakbench.metrics.spaces import FeatureImages
from cloakbench.models.loader import default_device


@dataclass(frozen=True, slots=True)
class MetricResult:
    """One metric's result: the mean over images, or the set's one value, in the unit of its facts."""

    metric: str
    version: int
    value: float
    n: int
    """Images that it was computed from, references not counted."""


def measure_paths(
    metrics: Sequence[str], image: Path, reference: Path | None, device: str | None = None
) -> list[MetricResult]:
    """Returns each metric of `image` against `reference`: two image files, or two folders.

    Folders are paired by file name without its ending for metrics of pairs, and taken as sets for the others. Raises
    UserError for unknown metrics, missing weights or references, unpaired names, and images that a metric cannot take.
    """
    entries = [_measurable(name) for name in dict.fromkeys(metrics)]
    if not entries:
        raise UserError("expected at least one metric, got none", "`cloakbench list metrics` shows all.")
    needing = ", ".join(entry.name for entry in entries if entry.facts.needs_reference)
    if reference is None and needing:
        raise UserError(f"expected --reference for {needing}, got none", "Name the image or folder to compare with.")
    weights.require([entry.name for entry in entries])
    images, references = _read(image), _read(reference) if reference else {}
    if references and image.is_dir() != (reference is not None and reference.is_dir()):
        raise UserError(f"expected two files or two folders, got {image} and {reference}", "Give two of a kind.")
    where = device or str(default_device())
    results = _of_pairs([entry for entry in entries if entry.compares_pairs], images, references, where)
    results += [_of_set(entry, images, references, where) for entry in entries if not entry.compares_pairs]
    order = list(metrics)
    return sorted(results, key=lambda result: order.index(result.metric))


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
        raise UserError(f"expected one image of a name in {path}, got several that differ in their ending", "")
    return by_stem


def _of_pairs(
    entries: Sequence[Metric], images: Mapping[str, Pixels], references: Mapping[str, Pixels], device: str
) -> list[MetricResult]:
    if not entries:
        return []
    changed, originals = _paired(images, references)
    values = quality.measure([entry.name for entry in entries], changed, originals, device)
    return [_result(entry, values[entry.name], len(changed)) for entry in entries]


def _result(entry: Metric, values: Sequence[float], count: int) -> MetricResult:
    return MetricResult(entry.name, entry.facts.version, fmean(values), count)


def _paired(images: Mapping[str, Pixels], references: Mapping[str, Pixels]) -> tuple[list[Pixels], list[Pixels]]:
    """Returns images and their references in one order; two single files are a pair whatever their names."""
    if len(images) == len(references) == 1:
        return list(images.values()), list(references.values())
    if alone := sorted(images.keys() ^ references.keys()):
        shown = ", ".join(alone[:5]) + (", ..." if len(alone) > 5 else "")
        raise UserError(f"expected the same file names in both folders, got {shown} in one alone", "Name them alike.")
    return list(images.values()), [references[name] for name in images]


def _of_set(entry: Metric, images: Mapping[str, Pixels], references: Mapping[str, Pixels], device: str) -> MetricResult:
    generated = checked(list(images.values()))
    compared = checked(list(references.values())) if entry.facts.needs_reference else []
    if entry.facts.level == "set" and min(len(generated), len(compared)) < 2:
        raise UserError(
            f"expected at least 2 images in each set for {entry.name!r}, got {len(generated)} and {len(compared)}",
            "Give folders.",
        )
    subject = MeasuredSet(FeatureImages(generated, device), FeatureImages(compared, device))
    return _result(entry, entry.function()(subject), len(generated))
