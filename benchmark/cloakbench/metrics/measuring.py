"""Any metric on two images or two folders: one table from names to what computes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from PIL import Image

from cloakbench.errors import UserError
from cloakbench.images import Pixels, decode, read_folder
from cloakbench.metrics import catalogue, editing, generations, quality, weights
from cloakbench.metrics.comparing import Metric, checked, compare
from cloakbench.models.loader import default_device
from cloakbench.schemas.suite import MetricFacts

PAIRED: Mapping[str, Metric] = {**quality.METRICS, **editing.METRICS}
"""Metrics of an image against its reference; `protection.MEASURES` has those of images against a set, or alone."""


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
    facts = [_measurable(name) for name in dict.fromkeys(metrics)]
    if not facts:
        raise UserError("expected at least one metric, got none", "`cloakbench list metrics` shows all.")
    if reference is None and any(one.needs_reference for one in facts):
        needing = ", ".join(one.name for one in facts if one.needs_reference)
        raise UserError(f"expected --reference for {needing}, got none", "Name the image or folder to compare with.")
    weights.require([one.name for one in facts])
    images, references = _read(image), _read(reference) if reference else {}
    if references and image.is_dir() != (reference is not None and reference.is_dir()):
        raise UserError(f"expected two files or two folders, got {image} and {reference}", "Give two of a kind.")
    found = [*_of_pairs(facts, images, references, device), *_of_sets(facts, images, references)]
    return sorted(found, key=lambda one: list(metrics).index(one.metric))


def _measurable(name: str) -> MetricFacts:
    facts = catalogue.find(name)
    if name not in PAIRED and name not in generations.MEASURES:
        known = ", ".join([*PAIRED, *generations.MEASURES])
        raise UserError(
            f"expected a metric of two images or folders ({known}), got {name!r}",
            "It needs to know the artist: a run of a suite measures it.",
        )
    return facts


def _read(path: Path) -> dict[str, Pixels]:
    """Returns an image, or a folder's images, by name without ending; raises UserError for what is not opaque."""
    if path.is_dir():
        found = read_folder(path)
    elif path.is_file():
        found = {path.name: _decoded(path)}
    else:
        raise UserError(f"expected an image or a folder of images, got {path}", "Give the path of an existing one.")
    for name in found:
        _check_opaque(path / name if path.is_dir() else path)
    by_stem = {Path(name).stem: pixels for name, pixels in found.items()}
    if len(by_stem) < len(found):
        raise UserError(f"expected one image of a name in {path}, got several that differ in their ending", "")
    return by_stem


def _decoded(path: Path) -> Pixels:
    try:
        return decode(path.read_bytes())
    except ValueError as error:
        raise UserError(f"expected an image, got {path}: {error}", "Give a PNG, JPEG, WebP or BMP.") from error


def _check_opaque(path: Path) -> None:
    with Image.open(path) as image:
        if image.has_transparency_data and image.convert("RGBA").getchannel("A").getextrema()[0] != 255:
            raise UserError(f"expected an opaque image, got alpha in {path}", "Lay it over a background first.")


def _of_pairs(
    facts: Sequence[MetricFacts], images: Mapping[str, Pixels], references: Mapping[str, Pixels], device: str | None
) -> list[MetricResult]:
    wanted = [one for one in facts if one.name in PAIRED]
    if not wanted:
        return []
    changed, originals = _paired(images, references)
    table = {one.name: PAIRED[one.name] for one in wanted}
    values = compare(table, changed, originals, device or default_device())
    return [MetricResult(one.name, one.version, fmean(values[one.name]), len(changed)) for one in wanted]


def _paired(images: Mapping[str, Pixels], references: Mapping[str, Pixels]) -> tuple[list[Pixels], list[Pixels]]:
    """Returns images and their references in one order; two single files are a pair whatever their names."""
    if len(images) == len(references) == 1:
        return list(images.values()), list(references.values())
    if alone := sorted(images.keys() ^ references.keys()):
        shown = ", ".join(alone[:5]) + (", ..." if len(alone) > 5 else "")
        raise UserError(f"expected the same file names in both folders, got {shown} in one alone", "Name them alike.")
    return list(images.values()), [references[name] for name in images]


def _of_sets(
    facts: Sequence[MetricFacts], images: Mapping[str, Pixels], references: Mapping[str, Pixels]
) -> list[MetricResult]:
    found = []
    for one in facts:
        if one.name in PAIRED:
            continue
        generated = checked(list(images.values()))
        known = checked(list(references.values())) if one.needs_reference else []
        if one.level == "set" and min(len(generated), len(known)) < 2:
            raise UserError(
                f"expected at least 2 images in each set for {one.name!r}, got {len(generated)} and {len(known)}",
                "Give folders.",
            )
        values = generations.MEASURES[one.name](generated, known)
        found.append(MetricResult(one.name, one.version, fmean(values), len(generated)))
    return found
