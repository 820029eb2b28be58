"""Protecting a user's own images."""

from __future__ import annotations

from pathlib import Path

from cloakbench import submissions
from cloakbench.errors import UserError
from cloakbench.folders import images
from cloakbench.folders.images import Changed
from cloakbench.models import loader
from cloakbench.submissions import guard


def protect_folder(
    name: str, source: Path, target: Path, strength: float, model: str, budget_255: int, class_word: str
) -> list[Changed]:
    """Writes a protected PNG for every image in `source` and returns what changed, in levels of 1/255."""
    if not 0 < strength <= 1:
        raise UserError(f"expected a strength in (0, 1], got {strength:g}", "1 uses the whole budget.")
    if not 1 <= budget_255 <= 255:
        raise UserError(f"expected a budget of 1 to 255 levels, got {budget_255}", "16 is the suites' largest.")
    protection = submissions.load(name).instance
    found = images.read(source, target)
    captions = (f"a {class_word}",) * len(found)
    surrogate = loader.load(model, loader.default_device()).surrogate()
    call = guard.Call(
        strength=strength, budget_255=budget_255, surrogate=surrogate, seed=0, class_word=class_word, captions=captions
    )
    done = guard.run(protection, list(found.values()), call)
    images.write(target, dict(zip(found, done.pngs, strict=True)))
    return [images.changed(file, budget) for file, budget in zip(found, done.budgets, strict=True)]
