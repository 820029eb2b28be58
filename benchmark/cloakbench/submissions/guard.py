"""Running a protection: the harness, not the submission, owns every invariant, on the saved 8-bit PNG."""

from __future__ import annotations

import dataclasses
import traceback
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cloakbench.contract import Protection, Request, Surrogate
from cloakbench.errors import SubmissionError
from cloakbench.images import PixelChange, Pixels, decode, encode, measure_budget, quantise, size, to_tensor
from cloakbench.schemas.kinds import BudgetKind, Status
from cloakbench.submissions.state import restored
from cloakbench.system.memory import is_out_of_memory

RANGE_TOLERANCE = 1e-4
"""How far a value may lie outside [0, 1]: what rounding in float arithmetic explains, far below half a level."""
MULTIPLE = 8
"""Sides that a protection sees are multiples of this, because an f=8 VAE asks for it."""


class SubmissionFault(SubmissionError):  # noqa: N818 - a fault is what a record calls it
    """A protection broke its contract while it ran; carries the status of the cell and the traceback."""

    def __init__(self, status: Status, message: str, hint: str = "", trace: str = "") -> None:
        super().__init__(message, hint)
        self.status = status
        self.traceback = trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What one protection is asked for: the circumstances of all images of one artist, as plain values."""

    strength: float
    budget_255: int
    """The suite's largest L-infinity budget, in levels."""
    seed: int
    class_word: str
    captions: Sequence[str]
    """One an image."""

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

    def with_surrogate(self, surrogate: Surrogate) -> Call:
        """Returns the order as a call in this process."""
        return Call(surrogate=surrogate, **dataclasses.asdict(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Order):
    """An order with the surrogate in this process."""

    surrogate: Surrogate


@dataclass(frozen=True, slots=True)
class Protected:
    """Protected images as they were saved, in the order of the originals."""

    images: tuple[Pixels, ...]
    pngs: tuple[bytes, ...]
    budgets: tuple[PixelChange, ...]


def run(protection: Protection, images: Sequence[Pixels], call: Call) -> Protected:
    """Returns the protected images after the PNG round trip, all checks passed.

    Images are grouped by size, so that `protect` sees one tensor of one size; each group gets a fresh generator with
    the call's seed. Sides that are no multiples of 8 are padded by reflection before and cropped after.

    Raises:
        SubmissionFault: The protection raised, ran out of memory, or its output breaks the contract.
    """
    if not images or len(images) != len(call.captions):
        raise ValueError(f"expected images with one caption each, got {len(images)} and {len(call.captions)}")
    pngs: dict[int, bytes] = {}
    for members in _by_size(images):
        changed = _protect_group(protection, [images[i] for i in members], call, [call.captions[i] for i in members])
        pngs |= {i: encode(pixels) for i, pixels in zip(members, changed, strict=True)}
    return accept(images, [pngs[i] for i in range(len(images))], call, protection.budget)


def accept(images: Sequence[Pixels], pngs: Sequence[bytes], order: Order, budget: str) -> Protected:
    """Returns what came back as PNGs, one an image; raises SubmissionFault for other sizes or more than the budget."""
    saved = tuple(_decoded(png, before) for png, before in zip(pngs, images, strict=True))
    budgets = tuple(measure_budget(before, after) for before, after in zip(images, saved, strict=True))
    if budget == BudgetKind.LINF:
        _check_budget(budgets, order)
    return Protected(saved, tuple(pngs), budgets)


def _decoded(png: bytes, original: Pixels) -> Pixels:
    try:
        height, width = size(png)  # of the header: a small file may claim to be a huge image
        found = decode(png) if (height, width) == original.shape[:2] else None
    except ValueError as error:
        raise _invalid(f"expected a PNG, got {error}") from error
    if found is None:
        raise _invalid(f"expected an image of {original.shape[1]} x {original.shape[0]} pixels, got {width} x {height}")
    return found


def check_determinism(protection: Protection, images: Sequence[Pixels], call: Call) -> float:
    """Returns the largest difference, in levels, between two runs with the same seed.

    Raises:
        SubmissionFault: The protection says that it is deterministic and differs on a CPU, where bytes must agree.
    """
    first, second = (run(protection, images, call).images for _ in range(2))
    apart = max(measure_budget(a, b).max_255 for a, b in zip(first, second, strict=True))
    if apart and protection.deterministic and call.surrogate.device.type == "cpu":
        message = f"expected the same bytes for the same seed, got two outputs up to {apart:.0f} levels apart"
        hint = "Draw all randomness from request.generator, or set deterministic = False."
        raise SubmissionFault(Status.INVALID_OUTPUT, message, hint)
    return apart


def _by_size(images: Sequence[Pixels]) -> list[list[int]]:
    groups: dict[tuple[int, ...], list[int]] = {}
    for index, pixels in enumerate(images):
        groups.setdefault(pixels.shape, []).append(index)
    return list(groups.values())


def _protect_group(protection: Protection, images: list[Pixels], call: Call, captions: list[str]) -> list[Pixels]:
    height, width = images[0].shape[:2]
    padding = ((0, -height % MULTIPLE), (0, -width % MULTIPLE), (0, 0))
    given = to_tensor(np.pad(pixels, padding, mode="reflect") for pixels in images)
    request = Request(
        strength=call.strength,
        epsilon=call.epsilon,
        surrogate=call.surrogate,
        generator=torch.Generator().manual_seed(call.seed),
        class_word=call.class_word,
        captions=tuple(captions),
    )
    returned = _ask(protection, given.to(call.surrogate.device), request)
    _check(returned, given.shape)
    return [pixels[:height, :width] for pixels in quantise(returned)]


def _ask(protection: Protection, images: Tensor, request: Request) -> Tensor:
    try:
        with restored():
            returned: object = protection.protect(images, request)
            # The copy to the CPU also waits for the device, so that its late errors are the submission's.
            received = returned.detach().cpu() if isinstance(returned, Tensor) else None
    except (Exception, SystemExit) as error:
        status = Status.OOM if is_out_of_memory(error) else Status.FAILED
        message = f"expected protected images, got {type(error).__name__}: {_first_line(error)}"
        raise SubmissionFault(status, message, HINTS[status], traceback.format_exc()) from error
    if received is None:
        raise _invalid(f"expected a torch.Tensor from protect, got {type(returned).__name__}")
    return received


HINTS = {
    Status.TIMEOUT: "Make it faster, or ask for a longer limit.",
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
