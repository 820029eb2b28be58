"""Keys: the SHA-256 of a recipe, known before anything runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

KEY_VERSION = 1


def canonical(value: Mapping[str, Any]) -> bytes:
    """Returns canonical JSON: sorted keys, no spaces, no NaN, UTF-8; raises ValueError for what JSON can't hold."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest(recipe: Mapping[str, Any]) -> str:
    """Returns the key of a recipe."""
    return hashlib.sha256(canonical({"key_version": KEY_VERSION, **recipe})).hexdigest()
