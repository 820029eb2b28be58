"""`cloakbench check --kind`: whether an attack of a package keeps the contract."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from cloakbench import images
from cloakbench.images import Pixels
from cloakbench.submissions import checking
from cloakbench.submissions.attacking import AttackOrder
from cloakbench.submissions.checking import OTHER_SIZES, SURROGATE, Card, ScoreCardLine, samples
from cloakbench.submissions.copies import count_copies, psnr
from cloakbench.submissions.discovery import EntryKind
from cloakbench.submissions.sandbox.client import SandboxedSubmission

LEVELS = 8
"""The size of the random perturbation of the images that an attack is tried on, in levels of 255."""
LEAST_PSNR = 15.0
"""In dB, between an image and what became of it: below, it is hardly the same picture. Project-defined."""
MODEL_SIDE = 128
"""Side of what the embedded model draws, in pixels."""
ARTIST = "sks"
PROMPTS = (f"a painting of a boat in the style of {ARTIST}", f"a painting of a house in the style of {ARTIST}")

Measure = Callable[[SandboxedSubmission], Sequence[ScoreCardLine]]


def check(spelling: str, kind: EntryKind, show: Callable[[ScoreCardLine], None] | None = None) -> Card:
    """Returns the score card of an attack, measured on the embedded model.

    Args:
        spelling: The attack.
        kind: Countermeasure or mimicry.
        show: Called with each line as soon as it is measured.

    Raises:
        UserError: There is no such attack.
        SubmissionError: It does not load.
    """
    with SandboxedSubmission(spelling, kind=kind) as worker:
        card = Card(spelling, worker.isolation, show=show)
        card.add(checking.loads(worker))
        measures: list[Measure] = [_cleans, _sizes] if kind is EntryKind.COUNTERMEASURE else [_imitates]
        for measure in measures:
            if not checking.add_measured(card, measure, worker):
                break
        card.add(checking.behaviour(worker))
    card.add(checking.ending(worker))
    return card


def perturbed(side: int = checking.SIDE) -> list[Pixels]:
    """Returns development images with random signs of `LEVELS` levels, which stand for protected ones."""
    generator = np.random.default_rng(0)
    noisy = []
    for pixels in samples(side):
        signs = generator.choice([-LEVELS, LEVELS], pixels.shape)
        noisy.append(np.clip(pixels + signs, 0, 255).astype(np.uint8))
    return noisy


def _cleans(worker: SandboxedSubmission) -> list[ScoreCardLine]:
    inputs = perturbed()
    start = time.monotonic()
    cleaned = _clean(worker, inputs)
    seconds = (time.monotonic() - start) / len(inputs)
    ratios = [psnr(before, after) for before, after in zip(inputs, cleaned, strict=True)]
    detail = f"PSNR to its input {min(ratios):.1f} dB at least, {LEAST_PSNR:g} expected"
    cost = f"{seconds:.1f} s per image of {checking.SIDE} x {checking.SIDE}"
    return [
        ScoreCardLine("keeps shape and range on the saved PNG", True, f"{len(cleaned)} images"),
        *_repeats(worker, cleaned, partial(_clean, worker, inputs)),
        ScoreCardLine("shows the same picture", min(ratios) >= LEAST_PSNR, detail, required=False),
        ScoreCardLine("costs", True, cost, required=False),
    ]


def _sizes(worker: SandboxedSubmission) -> list[ScoreCardLine]:
    _clean(worker, perturbed()[:1])
    for height, width in OTHER_SIZES:
        _clean(worker, [perturbed(max(height, width))[0][:height, :width]])
    sizes = ", ".join(f"{width} x {height}" for height, width in OTHER_SIZES)
    return [ScoreCardLine("takes one image alone and other sizes", True, sizes)]


def _imitates(worker: SandboxedSubmission) -> list[ScoreCardLine]:
    inputs = perturbed(MODEL_SIDE)
    start = time.monotonic()
    generated = _imitate(worker, inputs)
    seconds = time.monotonic() - start
    copies = count_copies(generated, inputs)
    return [
        ScoreCardLine("draws one image per prompt", True, f"{len(generated)} of {MODEL_SIDE} x {MODEL_SIDE}"),
        *_repeats(worker, generated, partial(_imitate, worker, inputs)),
        ScoreCardLine("draws new pictures", copies == 0, f"{copies} equal an image it was given", required=False),
        ScoreCardLine("costs", True, f"{seconds:.1f} s for {len(generated)} images", required=False),
    ]


def _repeats(
    worker: SandboxedSubmission, first: Sequence[Pixels], repeat: Callable[[], list[Pixels]]
) -> list[ScoreCardLine]:
    pairs = zip(first, repeat(), strict=True)
    difference = max(images.measure_budget(before, after).max_255 for before, after in pairs)
    is_same = difference == 0 or not worker.load().deterministic
    return [ScoreCardLine("same seed, same bytes", is_same, f"two runs differ by {difference:.0f} levels")]


def _clean(worker: SandboxedSubmission, pictures: Sequence[Pixels]) -> list[Pixels]:
    return worker.attack(pictures, _order(len(pictures)), SURROGATE)


def _imitate(worker: SandboxedSubmission, pictures: Sequence[Pixels]) -> list[Pixels]:
    return worker.attack(pictures, _order(len(pictures), PROMPTS, MODEL_SIDE), SURROGATE)


def _order(count: int, prompts: Sequence[str] = (), side: int = 0) -> AttackOrder:
    captions = [f"a painting in the style of {ARTIST}"] * count
    return AttackOrder(seed=0, class_word="painting", captions=captions, token=ARTIST, prompts=prompts, side=side)
