"""Keys: the SHA-256 of a recipe, known before anything runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from cloakbench.schemas.recipes import EditRecipe, Recipes

KEY_VERSION = 1
CLEAN_EDIT = "clean-edit"
"""The same edit of an artist's clean images: no stage of its own, and all protections' edits are compared with it."""


def canonical(value: Mapping[str, Any]) -> bytes:
    """Returns canonical JSON: sorted keys, no spaces, no NaN, UTF-8; raises ValueError for what JSON can't hold."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest(recipe: Mapping[str, Any]) -> str:
    """Returns the key of a recipe."""
    return hashlib.sha256(canonical({"key_version": KEY_VERSION, **recipe})).hexdigest()


def by_stage(components: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Returns the key of each stage of the recipes that a record holds."""
    return {stage: digest(recipe) for stage, recipe in components.items()}


def clean_edit(recipes: Recipes) -> str | None:
    """Returns the key of the same edit of the artist's clean images; None where a cell edits nothing."""
    if recipes.protect is None or not isinstance(recipes.generate, EditRecipe):
        return None
    return digest(recipes.generate.on_clean_images(recipes.protect.images))
