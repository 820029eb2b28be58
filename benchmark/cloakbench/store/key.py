"""Keys: the SHA-256 of a recipe, known before anything runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

KEY_VERSION = 1
CLEAN_EDIT = "clean-edit"
"""The same edit of an artist's clean images: no stage of its own, and all protections' edits are compared with it."""


def canonical(value: Mapping[str, Any]) -> bytes:
    """Returns canonical JSON: sorted keys, no spaces, no NaN, UTF-8; raises ValueError for what JSON can't hold."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest(recipe: Mapping[str, Any]) -> str:
    """Returns the key of a recipe."""
    return hashlib.sha256(canonical({"key_version": KEY_VERSION, **recipe})).hexdigest()


def clean_edit(recipes: Mapping[str, Mapping[str, Any]]) -> str:
    """Returns the key of the edits of an artist's clean images, of the recipes of any cell that edits them."""
    recipe = {name: value for name, value in recipes["generate"].items() if name != "parents"}
    return digest({**recipe, "images": recipes["protect"]["images"]})
