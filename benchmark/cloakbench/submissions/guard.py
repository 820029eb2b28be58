"""Running a protection: the harness, not the submission, checks every promise, on the 8-bit pixels that are saved."""

from __future__ import annotations

import dataclasses
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from cloakbench.contract import ClipModel, Protection, Request, Surrogate
from cloakbench.errors import SubmissionError
from cloakbench.images import PixelChange, Pixels, encode, measure_budget, quantise, to_tensor
from cloakbench.schemas.kinds import BudgetKind, Status
from cloakbench.submissions.state import restored
from cloakbench.submissions.text import clean_line, clean_lines
from cloakbench.system.memory import is_out_of_memory

RANGE_TOLERANCE = 1e-4
"""How far a value may be outside [0, 1]: the rounding of float arithmetic, far below half a level."""
MULTIPLE = 8
"""Sides of the images that a protection gets are multiples of this, as an autoencoder of factor 8 needs."""
LONGEST_MESSAGE, LONGEST_TRACEBACK = 2_000, 16_000
"""Characters that are kept of a submission's texts."""


class SubmissionFault(SubmissionError):  # noqa: N818 - a fault is what a record calls it
    """A protection broke its contract while it ran; carries the status of the cell and the traceback.

    All texts are cleaned and bounded here, because a submission has a say in them and records keep them.
    """

    def __init__(self, status: Status, message: str, hint: str = "", trace: str = "") -> None:
        super().__init__(clean_line(message, LONGEST_MESSAGE), clean_line(hint, LONGEST_MESSAGE))
        self.status = status
        self.traceback = clean_lines(trace, LONGEST_TRACEBACK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What one protection is asked for: the circumstances of all images of one artist, as plain values."""

    strength: float
    budget_255: int
    """The suite's largest L-infinity budget, in levels."""
    seed: int
    class_word: str
    captions: Sequence[str]
    """One per image."""
    masks: Sequence[Pixels] = ()
    """One per image, `[H, W]`, 255 where it may be repainted; empty where the images have none."""
    class_images: Sequence[Pixels] = ()
    """Pictures of the class that the suite's mimic trains with, `[H, W, 3]` of one size; empty for no need."""
    clip: str = ""
    """Name of the suite's CLIP, empty where the protection does not need it."""

    def __post_init__(self) -> None:
        if not 0 < self.strength <= 1:
            raise ValueError(f"expected a strength in (0, 1], got {self.strength}")

    @property
    def epsilon(self) -> float:
        """The budget at this strength, in units of [0, 1] images."""
        return self.budget_255 / 255 * self.strength

    @property
    def levels(self) -> int:
        """By how many 8-bit levels a pixel of the saved PNG may differ."""
        return round(self.budget_255 * self.strength)

    def with_surrogate(
        self, surrogate: Surrogate, models: Mapping[str, Surrogate] | None = None, clip: ClipModel | None = None
    ) -> Call:
        """Returns the order as a call in this process.

        Args:
            surrogate: The suite's surrogate.
            models: Further base models by alias.
            clip: The suite's CLIP.
        """
        values = {item.name: getattr(self, item.name) for item in dataclasses.fields(Order)}
        return Call(surrogate=surrogate, models=models or {}, clip_model=clip, **values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Order):
    """An order with the surrogate in this process."""

    surrogate: Surrogate
    models: Mapping[str, Surrogate] = dataclasses.field(default_factory=dict)
    clip_model: ClipModel | None = None


@dataclass(frozen=True, slots=True)
class Protected:
    """Protected images as they are saved, in the order of the originals."""

    images: tuple[Pixels, ...]
    budgets: tuple[PixelChange, ...]

    @property
    def pngs(self) -> tuple[bytes, ...]:
        """The images as PNGs."""
        return tuple(encode(pixels) for pixels in self.images)


def run(protection: Protection, images: Sequence[Pixels], call: Call) -> Protected:
    """Returns the protected images in 8 bit, all checks passed, the budget that the protection claims among them.

    Raises:
        SubmissionFault: The protection raised, ran out of memory, or its output breaks the contract.
    """
    return accept(images, protect(protection, images, call), call, protection.budget)


def protect(protection: Protection, images: Sequence[Pixels], call: Call) -> list[Pixels]:
    """Returns the protected images in 8 bit, one per image, all checks passed but that of the budget.

    Images are grouped by size, so that `protect` gets one tensor of one size; each group gets a fresh generator with
    the call's seed. Sides that are no multiples of 8 are padded by reflection before and cropped after.

    Raises:
        SubmissionFault: The protection raised, ran out of memory, or its output is no image of that size.
    """
    if not images or len(images) != len(call.captions):
        raise ValueError(f"expected images with one caption each, got {len(images)} and {len(call.captions)}")

    def change(padded: Tensor, members: list[int]) -> Tensor:
        request = Request(
            strength=call.strength,
            epsilon=call.epsilon,
            surrogate=call.surrogate,
            generator=torch.Generator().manual_seed(call.seed),
            class_word=call.class_word,
            captions=tuple(call.captions[index] for index in members),
            masks=_masks(call, members),
            class_images=to_tensor(call.class_images) if call.class_images else None,
            models=call.models,
            clip=call.clip_model,
        )
        return ask(partial(protection.protect, padded, request), "protect")

    return changed_by_size(images, call.surrogate.device, change)


def _masks(call: Call, members: Sequence[int]) -> Tensor | None:
    """Returns the masks `[B, 1, H, W]` of images of one size, padded as these are; None where the images have none."""
    if not call.masks:
        return None
    height, width = call.masks[members[0]].shape
    padding = ((0, -height % MULTIPLE), (0, -width % MULTIPLE))
    padded = [np.pad(call.masks[index], padding, mode="reflect")[..., None] for index in members]
    return to_tensor(padded).round().to(call.surrogate.device)


def changed_by_size(
    images: Sequence[Pixels], device: torch.device, change: Callable[[Tensor, list[int]], Tensor]
) -> list[Pixels]:
    """Returns what `change` makes of all images of one size together, in 8 bit, in the order of the images.

    Args:
        images: Images `[H, W, 3]`, uint8.
        device: Where `change` gets them.
        change: Takes images `[B, 3, H, W]` in [0, 1], padded to multiples of 8, and which ones they are.

    Raises:
        SubmissionFault: What comes back is no image of that size.
    """
    changed: dict[int, Pixels] = {}
    for members in _by_size(images):
        height, width = images[members[0]].shape[:2]
        padding = ((0, -height % MULTIPLE), (0, -width % MULTIPLE), (0, 0))
        padded = to_tensor(np.pad(images[index], padding, mode="reflect") for index in members)
        whole = accepted(change(padded.to(device), members), padded.shape)
        changed |= dict(zip(members, (pixels[:height, :width] for pixels in whole), strict=True))
    return [changed[index] for index in range(len(images))]


def accepted(returned: Tensor, shape: Sequence[int]) -> list[Pixels]:
    """Returns a submission's tensor as 8-bit images; raises SubmissionFault where it has another shape or values."""
    try:
        _check(returned, torch.Size(shape))
        return quantise(returned)
    except SubmissionFault:
        raise
    except Exception as error:  # a sparse tensor, or a subclass whose methods raise
        raise _invalid(f"expected a dense tensor, got {type(error).__name__}: {_first_line(error)}") from error


def accept(originals: Sequence[Pixels], changed: Sequence[Pixels], order: Order, budget: str) -> Protected:
    """Returns images that came back, with how much they changed.

    Args:
        originals: Images `[H, W, 3]`, uint8.
        changed: What became of each, in the same order.
        order: What was asked for.
        budget: The budget that the entry's record claims; `linf` is checked.

    Raises:
        SubmissionFault: An image has another size, or changed by more than the budget.
    """
    for before, after in zip(originals, changed, strict=True):
        if after.shape != before.shape:
            raise _invalid(f"expected an image of {_size(before)} pixels, got {_size(after)}")
    budgets = tuple(measure_budget(before, after) for before, after in zip(originals, changed, strict=True))
    if budget == BudgetKind.LINF:
        _check_budget(budgets, order)
    return Protected(tuple(changed), budgets)


def _size(pixels: Pixels) -> str:
    return f"{pixels.shape[1]} x {pixels.shape[0]}"


def _by_size(images: Sequence[Pixels]) -> list[list[int]]:
    groups: dict[tuple[int, ...], list[int]] = {}
    for index, pixels in enumerate(images):
        groups.setdefault(pixels.shape, []).append(index)
    return list(groups.values())


def ask(call: Callable[[], object], method: str) -> Tensor:
    """Returns the tensor that a call of a submission's method returns, on the CPU.

    Raises:
        SubmissionFault: It raises, runs out of memory, or returns something else.
    """
    try:
        with restored():
            returned = call()
            # The copy to the CPU also waits for the device, so that its late errors are the submission's.
            received = returned.detach().cpu() if isinstance(returned, Tensor) else None
    except (Exception, SystemExit) as error:
        status = Status.OOM if is_out_of_memory(error) else Status.FAILED
        message = f"expected images from {method}, got {type(error).__name__}: {_first_line(error)}"
        raise SubmissionFault(status, message, HINTS[status], traceback.format_exc()) from error
    if received is None:
        raise _invalid(f"expected a torch.Tensor from {method}, got {type(returned).__name__}")
    return received


HINTS = {
    Status.TIMEOUT: "Make it faster, or propose a longer limit for the suite.",
    Status.OOM: "Make it work on fewer images at once, or run where there is more memory.",
    Status.FAILED: "The traceback is kept with the record; the submission's author has to repair it.",
    Status.INVALID_OUTPUT: "See the contract in submissions/README.md.",
}


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "")[:300]


def _check(returned: Tensor, shape: torch.Size) -> None:
    if returned.shape != shape:
        raise _invalid(f"expected the shape of the images, {list(shape)}, got {list(returned.shape)}")
    if not returned.is_floating_point():
        raise _invalid(f"expected floating-point values in [0, 1], got {returned.dtype}")
    if not bool(returned.isfinite().all()):
        count = int((~returned.isfinite()).sum())
        raise _invalid(f"expected finite values, got {count} NaN or infinite of {returned.numel()}")
    low, high = float(returned.min()), float(returned.max())
    if low < -RANGE_TOLERANCE or high > 1 + RANGE_TOLERANCE:
        raise _invalid(f"expected values in [0, 1], got {low:.6g} to {high:.6g}", "Clamp the result: x.clamp(0, 1).")


def _check_budget(budgets: Sequence[PixelChange], order: Order) -> None:
    for index, budget in enumerate(budgets):
        if budget.max_255 > order.levels:
            message = (
                f"expected every pixel of the saved PNG within {order.levels} levels of the original "
                f"(budget {order.budget_255}/255, strength {order.strength:g}), "
                f"got {budget.max_255:.0f} levels in image {index}"
            )
            hint = "Round the perturbation to whole levels inside request.epsilon before returning."
            raise _invalid(message, hint)


def _invalid(message: str, hint: str = HINTS[Status.INVALID_OUTPUT]) -> SubmissionFault:
    return SubmissionFault(Status.INVALID_OUTPUT, message, hint)
