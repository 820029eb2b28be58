"""Compares the stored images and features of a record with the record."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np

from cloakbench.metrics.spaces import SPACES
from cloakbench.schemas.recipes import ImitateRecipe, Recipes
from cloakbench.schemas.record import Record
from cloakbench.schemas.suite import Suite
from cloakbench.store.features import StoredFeatures
from cloakbench.store.store import CorruptFile, Store

SIDE = 128
"""Side in pixels of the image that tells how many features a network gives."""


def check_images(record: Record, stages: Mapping[str, str], store: Store) -> tuple[int, list[str]]:
    """Returns how many kept images of a record were read, and which stages differ from its digests."""
    count, wrong = 0, []
    for stage, digests in record.digests.items():
        if stage not in stages:
            continue
        try:
            stored = store.read_images(stages[stage], record.environment.env_class)
        except CorruptFile as error:
            wrong.append(error.message)
            continue
        if stored is not None:
            count += len(stored[0])
            if stored[1]["digests"] != digests:
                wrong.append(f"expected the images of {stage!r} that the record names, got others")
    return count, wrong


def check_features(
    record: Record, recipes: Recipes, stages: Mapping[str, str], store: Store, suite: Suite
) -> list[str]:
    """Returns which kept features of a record's generations are damaged, not finite, or of another shape.

    Features of networks whose weights are not here are compared in their number of images alone.
    """
    if not isinstance(recipes.generate, ImitateRecipe):
        return []
    try:
        kept = store.read_features(stages["generate"], record.environment.env_class)
    except CorruptFile as error:
        return [error.message]
    count = len(suite.sampling.prompts) * suite.sampling.per_prompt
    wrong = []
    for space, features in kept.items():
        rows, columns = features.values.shape
        width = _width(space) if _is_here(space, features) else columns
        if (rows, columns) != (count, width):
            wrong.append(f"expected features {space!r} of {count} x {width} numbers, got {rows} x {columns}")
        elif not np.isfinite(features.values).all():
            wrong.append(f"expected finite features {space!r}, got NaN or infinity")
    return wrong


def _is_here(space: str, features: StoredFeatures) -> bool:
    """Returns whether the network that gave the features is the one that this machine has."""
    return space in SPACES and SPACES[space].is_here and SPACES[space].digest == features.network


@cache
def _width(space: str) -> int:
    """Returns how many features a network gives per image."""
    return int(SPACES[space].extract([np.zeros((SIDE, SIDE, 3), np.uint8)], "cpu").shape[1])
