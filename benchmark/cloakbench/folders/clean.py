"""Cleaning a user's own images by countermeasures, as a mimic would."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cloakbench import progress
from cloakbench.attacks import catalogue
from cloakbench.attacks.stage import StageFacts
from cloakbench.errors import UserError
from cloakbench.folders import images as folder_images
from cloakbench.folders import outputs, settings
from cloakbench.folders.images import Changed
from cloakbench.images import Pixels, encode, measure_budget
from cloakbench.schemas.suite import Scalar, Suite

if TYPE_CHECKING:
    from cloakbench.attacks.context import Context


def clean_images(
    name: str, pixels: Sequence[Pixels], suite: str | None = None, model: str | None = None
) -> list[Pixels]:
    """Returns images cleaned by a countermeasure with the settings of a suite.

    Args:
        name: A countermeasure, or a chain such as `noise+impress`.
        pixels: Images `[H, W, 3]` of any size.
        suite: Name of the suite, or path to its TOML file; by default the one for the model's family.
        model: Alias or folder of a model in place of each base model that the suite names.

    Raises:
        UserError: A name is unknown, the suite has no settings for the countermeasure or is for another family of
            models, or not even one image at a time fits into memory.
    """
    loaded_suite = settings.choose_suite(suite, model)
    chain = catalogue.chain(name)
    stages = [(facts, _settings(facts, loaded_suite, model)) for facts in chain]
    context = _context(loaded_suite, len(pixels))

    def clean() -> list[Pixels]:
        cleaned = list(pixels)
        for (facts, values), turn in zip(stages, catalogue.turns(chain), strict=True):
            progress.say(f"{len(cleaned)} images by {facts.name}")
            seeds = range(turn * len(cleaned), (turn + 1) * len(cleaned))
            cleaned = facts.build(values).apply(cleaned, replace(context, seeds=seeds))
        return cleaned

    return settings.within_memory(clean)


def clean_folder(name: str, source: Path, target: Path, suite: str | None, model: str | None) -> list[Changed]:
    """Writes a cleaned PNG for every image of a folder.

    Args:
        name: A countermeasure or a chain.
        source: Folder of images.
        target: Folder for the PNGs.
        suite: Suite whose settings are used; by default the one for the model's family.
        model: Model in place of those that the suite names.

    Returns:
        One row per file with its change.

    Raises:
        UserError: A name, an image or a folder is wrong; nothing is written.
    """
    folder_images.check_source(source, target)
    loaded_suite = settings.choose_suite(suite, model)
    for facts in catalogue.chain(name):
        _settings(facts, loaded_suite, model)
    originals = folder_images.read(source)
    outputs.check(target, originals, "clean")
    cleaned = dict(zip(originals, clean_images(name, list(originals.values()), suite, model), strict=True))
    outputs.write(target, {file: encode(pixels) for file, pixels in cleaned.items()}, "clean")
    return [folder_images.changed(file, measure_budget(originals[file], cleaned[file])) for file in originals]


def _settings(facts: StageFacts, suite: Suite, model: str | None) -> dict[str, Scalar]:
    if facts.name not in suite.countermeasures:
        choices = ", ".join(sorted(suite.countermeasures))
        raise UserError(
            f"expected a countermeasure that suite {suite.name!r} has settings for ({choices}), got {facts.name!r}",
            "Choose another, or give a suite file of your own with --suite.",
        )
    values = catalogue.settings(facts, suite)
    return values | ({"model": model} if model and values.get("model") else {})


def _context(suite: Suite, count: int) -> Context:
    import torch

    from cloakbench.attacks.context import Context
    from cloakbench.metrics import perceptual
    from cloakbench.models import loader
    from cloakbench.models.loader import BaseModel

    device = torch.device(loader.default_device())
    dtype = settings.precision(suite, device.type)

    def load(alias: str) -> BaseModel:
        return loader.load(alias, str(device), dtype)

    captions = [f"a {suite.class_word}"] * count
    return Context(range(count), captions, load, perceptual.distance(suite.perceptual, device), device, dtype)
