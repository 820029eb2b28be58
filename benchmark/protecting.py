"""Protecting a user's own images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmark import images, submissions
from benchmark.errors import UserError
from benchmark.models import loader
from benchmark.submissions import guard


@dataclass(frozen=True, slots=True)
class Done:
    """One protected file with its measured change."""

    file: str
    max_255: float
    mean_255: float


def protect_folder(
    name: str, source: Path, target: Path, strength: float, model: str, budget_255: int, class_word: str
) -> list[Done]:
    """Writes a protected PNG for every image in `source` and returns what changed, in levels of 1/255."""
    if not 0 < strength <= 1:
        raise UserError(f"expected a strength in (0, 1], got {strength:g}", "1 uses the whole budget.")
    if not 1 <= budget_255 <= 255:
        raise UserError(f"expected a budget of 1 to 255 levels, got {budget_255}", "16 is the suites' largest.")
    protection = submissions.load(name).instance
    found = images.read_folder(source)
    named = [Path(file).with_suffix(".png").name for file in found]
    _check_names(named, source, target)
    captions = (f"a {class_word}",) * len(found)
    surrogate = loader.load(model, loader.default_device()).surrogate()
    call = guard.Call(strength, budget_255, surrogate, 0, class_word, captions)
    done = guard.run(protection, list(found.values()), call)
    try:
        target.mkdir(parents=True, exist_ok=True)
        for file, png in zip(named, done.pngs, strict=True):
            (target / file).write_bytes(png)
    except OSError as error:
        raise UserError(f"expected a writable folder, got {target}: {error.strerror}", "Give another --out.") from error
    return [Done(file, b.max_255, round(b.mean_255, 3)) for file, b in zip(named, done.budgets, strict=True)]


def _check_names(named: list[str], source: Path, target: Path) -> None:
    """Raises UserError where a protected image would replace an original or another protected image."""
    if target.resolve() == source.resolve():
        raise UserError(f"expected another folder than --in, got {target}", "The originals stay: give another --out.")
    twice = sorted({name for name in named if named.count(name) > 1})
    if twice:
        raise UserError(f"expected images of different names, got several for {', '.join(twice)}", "Rename them.")
