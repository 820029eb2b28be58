"""What a protection may need, as its class attribute `needs` spells it."""

from __future__ import annotations

import re
from collections.abc import Iterable

WORDS = ("class-images", "clip", "gpu", "mask", "surrogate")
GPU_MEMORY = re.compile(r"vram:([1-9][0-9]{0,3})")
"""`vram:24`: a GPU with at least 24 GiB of memory."""
MODEL = re.compile(r"model:([a-z0-9][a-z0-9.-]{0,99})")
"""`model:sd21-base`: a further base model by its alias."""


def is_valid(need: object) -> bool:
    """Returns whether a value is spelled as a need."""
    if not isinstance(need, str):
        return False
    return need in WORDS or bool(GPU_MEMORY.fullmatch(need)) or bool(MODEL.fullmatch(need))


def gpu_gib(need: str) -> int | None:
    """Returns the GiB of GPU memory that a need names, None for another need."""
    match = GPU_MEMORY.fullmatch(need)
    return int(match[1]) if match else None


def model(need: str) -> str | None:
    """Returns the alias of the further model that a need names, None for another need."""
    match = MODEL.fullmatch(need)
    return match[1] if match else None


def models(needs: Iterable[str]) -> list[str]:
    """Returns the aliases of the further models among needs, in their order."""
    aliases = (model(need) for need in needs)
    return [alias for alias in aliases if alias is not None]
