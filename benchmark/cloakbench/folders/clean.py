"""Countermeasures on a user's own images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from cloakbench import images
from cloakbench.attacks import catalogue
from cloakbench.attacks.context import Context
from cloakbench.errors import UserError
from cloakbench.folders import images as folders
from cloakbench.folders.images import Changed
from cloakbench.models import loader
from cloakbench.schemas.suite import Scalar, Suite
from cloakbench.suites import load as suites


def attack_folder(name: str, source: Path, target: Path, suite: str, model: str | None) -> list[Changed]:
    """Writes a cleaned PNG for every image in `source`, with the settings of `suite`; returns what changed.

    `name` is a countermeasure or a chain such as `noise+impress`; `model` takes the place of each base model that the
    suite names for it. Raises UserError for an unknown name, and for one that the suite has no settings for.
    """
    chosen = suites.load(suite)
    chain = catalogue.chain(name)
    stages = [(facts, _settings(facts, chosen, model)) for facts in chain]
    found = folders.read(source, target)
    pixels = list(found.values())
    context = _context(chosen, len(pixels))
    for (facts, settings), turn in zip(stages, catalogue.turns(chain), strict=True):
        drawn = range(turn * len(pixels), (turn + 1) * len(pixels))
        pixels = facts.build(settings).apply(pixels, replace(context, seeds=drawn))
    cleaned = dict(zip(found, pixels, strict=True))
    folders.write(target, {file: images.encode(pixels) for file, pixels in cleaned.items()})
    return [folders.changed(file, images.measure_budget(found[file], cleaned[file])) for file in found]


def _settings(facts: catalogue.StageFacts, suite: Suite, model: str | None) -> dict[str, Scalar]:
    if facts.name not in suite.countermeasures:
        known = ", ".join(sorted(suite.countermeasures))
        raise UserError(
            f"expected a countermeasure that suite {suite.name!r} has settings for ({known}), got {facts.name!r}",
            "Choose another, or give a suite file of your own with --suite.",
        )
    settings = catalogue.settings(facts, suite)
    return settings | ({"model": model} if model and settings.get("model") else {})


def _context(suite: Suite, count: int) -> Context:
    device = loader.default_device()
    captions = [f"a {suite.class_word}"] * count
    where = torch.device(device)
    distance = loader.mini_lpips(where)
    return Context(range(count), captions, lambda alias: loader.load(alias, device), distance, where)
