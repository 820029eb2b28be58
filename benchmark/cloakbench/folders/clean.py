"""Cleaning a user's own images by countermeasures, as a mimic would."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
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
    from cloakbench.attacks.context import Context, CountermeasureStage


def clean_images(
    name: str, pixels: Sequence[Pixels], suite: str | None = None, model: str | None = None
) -> Iterator[Pixels]:
    """Yields images cleaned by a countermeasure with the settings of a suite, each as soon as it is clean.

    A countermeasure that works on the whole set gets all images together, so that all come at the end.

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
    facts = catalogue.chain(name)
    chain = _Chain(
        [stage.build(_settings(stage, loaded_suite, model)) for stage in facts],
        catalogue.turns(facts),
        _context(loaded_suite, len(pixels)),
    )
    if any(stage.whole_set for stage in facts):
        progress.say(f"{name} works on all {len(pixels)} images together: they come at the end")
        yield from settings.within_memory(partial(chain.clean, pixels, 0))
        return
    for number, image in enumerate(progress.track(pixels, len(pixels), "images")):
        yield from settings.within_memory(partial(chain.clean, [image], number))


@dataclass(frozen=True, slots=True)
class _Chain:
    """Countermeasures one after the other; `turns` says how often each came before in the chain."""

    stages: Sequence[CountermeasureStage]
    turns: Sequence[int]
    context: Context

    def clean(self, images: Sequence[Pixels], first: int) -> list[Pixels]:
        """Returns cleaned images, of which the first has the number `first` among all; each has seeds of its own."""
        cleaned, last = list(images), first + len(images)
        for stage, turn in zip(self.stages, self.turns, strict=True):
            drawn = turn * len(self.context.seeds)
            context = replace(
                self.context, seeds=range(drawn + first, drawn + last), captions=self.context.captions[first:last]
            )
            cleaned = stage.apply(cleaned, context)
        return cleaned


def clean_folder(name: str, source: Path, target: Path, suite: str | None, model: str | None) -> list[Changed]:
    """Writes a cleaned PNG for every image of a folder, each as soon as it is clean.

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
    rows = []
    with outputs.opened(target, list(originals), "clean") as output:
        cleaned = clean_images(name, list(originals.values()), suite, model)
        for (file, before), after in zip(originals.items(), cleaned, strict=True):
            output.write(file, encode(after))
            rows.append(folder_images.changed(file, measure_budget(before, after)))
    return rows


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
