"""Protecting a user's own images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cloakbench import printable, progress, submissions
from cloakbench.errors import UserError
from cloakbench.folders import images, outputs, settings
from cloakbench.folders.images import Changed
from cloakbench.images import Pixels
from cloakbench.schemas.kinds import Status
from cloakbench.suites import load as suites

if TYPE_CHECKING:
    from cloakbench.submissions.guard import Protected

LARGE_PIXELS = 1 << 22
"""Beyond this area a protection that follows gradients may need more memory than there is: `photoguard` takes 1.4 GiB
per megapixel (tests/benchmarks/README.md)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectOptions:
    """Options of a protection; raises UserError for values out of range.

    Attributes:
        strength: In (0, 1]; 1 uses the whole budget.
        budget_255: Largest change of a pixel at strength 1, in levels of 1/255.
        model: Alias or folder of the model whose gradients the protection uses.
        class_word: What the images are, such as `painting`.
        seed: Seed of the protection's random numbers.
    """

    strength: float = 1.0
    budget_255: int = 16
    model: str = "mini-a"
    class_word: str = "painting"
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.strength <= 1:
            raise UserError(f"expected a strength in (0, 1], got {self.strength:g}", "1 uses the whole budget.")
        if not 1 <= self.budget_255 <= 255:
            raise UserError(f"expected a budget of 1 to 255 levels, got {self.budget_255}", "Suites use up to 16.")
        if round(self.strength * self.budget_255) == 0:
            raise UserError(
                f"expected a change of at least one level, got strength {self.strength:g} of {self.budget_255} levels",
                "Give a larger --strength or --budget.",
            )


def protect_images(name: str, pixels: Sequence[Pixels], options: ProtectOptions) -> Protected:
    """Returns the protected images, their PNGs and the measured changes, in the order of the originals.

    Args:
        name: The protection, such as `photoguard` or `photoguard[steps=200]`.
        pixels: Images `[H, W, 3]` of any size.
        options: Strength, budget, model and seed.

    Raises:
        UserError: The protection or the model is unknown, or the protection needs what is not here.
        SubmissionError: The protection broke its contract.
    """
    return _protector(name, options)(pixels)


def _protector(name: str, options: ProtectOptions) -> Callable[[Sequence[Pixels]], Protected]:
    """Returns what protects images, with the protection and the model loaded."""
    submissions.find(submissions.parse(name).name)  # before the models' libraries are imported, which takes seconds
    from cloakbench import readiness
    from cloakbench.metrics import clips, perceptual
    from cloakbench.models import loader, registry
    from cloakbench.submissions import guard

    loaded, suite, device = submissions.load(name), suites.for_model(options.model), loader.default_device()
    on_model = suite.model_copy(update={"surrogate": options.model})
    lack = readiness.entry_lacks(loaded.identity, loaded.claims(), on_model, readiness.find_device(), False)
    if lack is not None:
        raise UserError(lack.reason, lack.remedy)
    base = loader.load(options.model, device, settings.precision(suite, device))
    surrogate = base.surrogate(perceptual.distance(suite.perceptual, device))
    clip_name = clips.name_for(registry.family(options.model))
    clip = clips.load(clip_name, device) if "clip" in loaded.instance.needs else None

    def protect(pixels: Sequence[Pixels]) -> Protected:
        call = guard.Call(
            strength=options.strength,
            budget_255=options.budget_255,
            surrogate=surrogate,
            clip_model=clip,
            seed=options.seed,
            class_word=options.class_word,
            captions=(f"a {options.class_word}",) * len(pixels),
        )
        return guard.run(loaded.instance, pixels, call)

    return protect


def protect_folder(name: str, source: Path, target: Path, options: ProtectOptions) -> list[Changed]:
    """Writes a protected PNG for every image of a folder, those of one size as soon as they are protected.

    A protection gets all images of one size together, as in a suite, and may draw its random numbers for all of them:
    one by one they could come out otherwise.

    Args:
        name: The protection.
        source: Folder of images.
        target: Folder for the PNGs.
        options: Strength, budget, model and seed.

    Returns:
        One row per file with its change.

    Raises:
        UserError: A name, an image or a folder is wrong; nothing is written.
        SubmissionError: The protection broke its contract; images of sizes that were finished before are written.
    """
    images.check_source(source, target)
    submissions.find(submissions.parse(name).name)
    originals = images.read(source)
    rows: dict[str, Changed] = {}
    with outputs.opened(target, list(originals), "protect") as output:
        protect = _protector(name, options)
        groups = _by_size(originals)
        progress.say(
            f"{printable.count(len(originals), 'image')} of {printable.count(len(groups), 'size')}; "
            "those of one size are protected together, then written"
        )
        _warn_of_size(originals)
        for group in progress.track(groups, len(groups), "sizes"):
            progress.say(_describe(group))
            protected = _within_memory(protect, list(group.values()))
            for file, png, change in zip(group, protected.pngs, protected.budgets, strict=True):
                output.write(file, png)
                rows[file] = images.changed(file, change)
    return [rows[file] for file in originals]


def _within_memory(protect: Callable[[Sequence[Pixels]], Protected], pixels: Sequence[Pixels]) -> Protected:
    """Returns the protected images; raises UserError where the free memory does not suffice."""
    from cloakbench.submissions.guard import SubmissionFault
    from cloakbench.system import free_memory, memory

    free = free_memory.free_bytes()
    try:
        with free_memory.bounded():
            return protect(pixels)
    except Exception as error:
        is_short = isinstance(error, SubmissionFault) and error.status is Status.OOM
        if not is_short and not memory.is_out_of_memory(error):
            raise
        height, width = pixels[0].shape[:2]
        raise UserError(
            f"expected {len(pixels)} images of {width * height / 1e6:.1f} megapixels to fit into memory, of which "
            f"{free / 2**30:.1f} GiB were free, got: {error}",
            "Scale the images down, or give fewer of one size at once.",
        ) from error


def _describe(group: Mapping[str, Pixels]) -> str:
    """Returns in words which images are protected together, so that the steps that follow belong to something."""
    height, width = next(iter(group.values())).shape[:2]
    others = f" and {len(group) - 1} more" if len(group) > 1 else ""
    return f"{width} x {height} pixels: {next(iter(group))}{others}"


def _warn_of_size(originals: Mapping[str, Pixels]) -> None:
    """Says where an image is so large that the memory may not suffice."""
    largest = max(pixels.shape[0] * pixels.shape[1] for pixels in originals.values())
    if largest > LARGE_PIXELS:
        progress.say(
            f"the largest image has {largest / 1e6:.1f} megapixels: a protection that follows gradients may need more "
            "memory than there is, and then ends with a message; scale the image down before"
        )


def _by_size(originals: Mapping[str, Pixels]) -> list[dict[str, Pixels]]:
    """Returns the images in groups of one size, as a protection gets them."""
    groups: dict[tuple[int, ...], dict[str, Pixels]] = {}
    for file, pixels in originals.items():
        groups.setdefault(pixels.shape, {})[file] = pixels
    return list(groups.values())
