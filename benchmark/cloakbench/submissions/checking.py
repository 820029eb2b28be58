"""`cloakbench check`: whether a protection keeps the contract, in a fraction of a run's time."""

from __future__ import annotations

import itertools
import operator
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from cloakbench import image_files, images
from cloakbench.datasets.artists import MINI
from cloakbench.errors import BenchmarkError
from cloakbench.images import Pixels
from cloakbench.submissions import suspicion
from cloakbench.submissions.guard import Order, Protected
from cloakbench.submissions.sandbox import bubblewrap
from cloakbench.submissions.sandbox.client import SandboxedSubmission, SurrogateChoice

STYLES = ("swirl", "stencil")
"""Development artists, of continuous tone and of flat shapes; none is a suite's."""
SIDE = 64
BUDGET_255 = 16
STRENGTHS = (0.25, 0.5, 1.0)
OTHER_SIZES = ((72, 104), (75, 101))
"""Height and width: one that is no square, one that is no multiple of 8."""
Visibility = Callable[[Sequence[Pixels], Sequence[Pixels]], str]
"""Describes how visible a change is, from originals and changed images."""
SURROGATE = SurrogateChoice("mini-a", "cpu", "float32")


@dataclass(frozen=True, slots=True)
class ScoreCardLine:
    """One line of the score card; an official run refuses an entry that fails a `required` one."""

    name: str
    passed: bool
    detail: str
    required: bool = True


@dataclass(slots=True)
class Card:
    """The score card of a protection or an attack, its lines in the order in which they were measured."""

    protection: str
    isolation: str
    checks: list[ScoreCardLine] = field(default_factory=list)
    show: Callable[[ScoreCardLine], None] | None = None
    """Called with each line as soon as it is measured."""

    def add(self, lines: Sequence[ScoreCardLine]) -> None:
        """Adds lines."""
        self.checks += lines
        if self.show is not None:
            for line in lines:
                self.show(line)

    @property
    def accepted(self) -> bool:
        """Whether an official run would take the entry."""
        return all(check.passed for check in self.checks if check.required)


def check(
    spelling: str, visibility: Visibility | None = None, show: Callable[[ScoreCardLine], None] | None = None
) -> Card:
    """Returns the score card of a protection, measured on the embedded model.

    Args:
        spelling: The protection, such as `photoguard` or `photoguard[steps=200]`.
        visibility: Describes a change in one line, from originals and changed images.
        show: Called with each line as soon as it is measured.

    Raises:
        UserError: There is no such protection.
        SubmissionError: It does not load.
    """
    with SandboxedSubmission(spelling) as worker:
        card = Card(spelling, worker.isolation, show=show)
        card.add(loads(worker))
        for measure in (partial(_strengths, visibility=visibility), _sizes, _costs):
            if not add_measured(card, measure, worker):
                break
        card.add(behaviour(worker))
    card.add(ending(worker))
    return card


def ending(worker: SandboxedSubmission) -> list[ScoreCardLine]:
    """Returns the lines that can be measured only after the process has ended."""
    count = worker.left_behind
    return [ScoreCardLine("ends its processes", count == 0, f"{count} left behind"), _isolation(worker)]


def add_measured(
    card: Card, measure: Callable[[SandboxedSubmission], Sequence[ScoreCardLine]], worker: SandboxedSubmission
) -> bool:
    """Adds the lines that `measure` returns; a fault becomes a failed line and False."""
    try:
        card.add(measure(worker))
    except BenchmarkError as error:
        card.add([ScoreCardLine("runs", passed=False, detail=error.message)])
        return False
    return True


def loads(worker: SandboxedSubmission) -> list[ScoreCardLine]:
    """Returns the line about loading the protection."""
    claims = worker.load()
    return [
        ScoreCardLine("loads", True, claims.title),
        ScoreCardLine("names its licence", bool(claims.licence), claims.licence or "none named", required=False),
        ScoreCardLine("names its paper", bool(claims.paper), claims.paper or "none named", required=False),
    ]


def _strengths(worker: SandboxedSubmission, visibility: Visibility | None) -> list[ScoreCardLine]:
    pictures = samples()
    runs = {strength: _protect(worker, pictures, strength) for strength in STRENGTHS}
    again = _protect(worker, pictures, 1.0)
    means = list(map(_mean_change, runs.values()))
    largest = list(map(_largest_change, runs.values()))
    difference = _difference(runs[1.0], again)
    is_same = difference == 0 or not worker.load().deterministic
    is_rising = all(itertools.starmap(operator.lt, itertools.pairwise(means)))
    levels = ", ".join(f"{strength:g}: {mean:.1f}" for strength, mean in zip(STRENGTHS, means, strict=True))
    rounding = f"mean change of {means[0]:.2f} levels at {STRENGTHS[0]:g}"
    lines = [
        ScoreCardLine(
            "keeps shape, range and budget on the saved PNG", True, f"largest change {_list(largest)} of 255"
        ),
        ScoreCardLine("same seed, same bytes", is_same, f"two runs differ by {difference:.0f} levels"),
        ScoreCardLine("survives rounding to 8 bit", means[0] > 0, rounding),
        ScoreCardLine("more strength, more change", is_rising, f"mean levels at {levels}", required=False),
    ]
    if visibility is not None:
        detail = visibility(pictures, runs[1.0].images)
        lines.append(ScoreCardLine("visibility at strength 1", True, detail, required=False))
    for name, passed, detail in suspicion.flags(pictures, runs[1.0]):
        lines.append(ScoreCardLine(name, passed, detail, required=False))
    return lines


def _mean_change(protected: Protected) -> float:
    return float(np.mean([budget.mean_255 for budget in protected.budgets]))


def _largest_change(protected: Protected) -> float:
    return max(budget.max_255 for budget in protected.budgets)


def _sizes(worker: SandboxedSubmission) -> list[ScoreCardLine]:
    _protect(worker, samples()[:1], 1.0)
    for height, width in OTHER_SIZES:
        _protect(worker, [samples(max(height, width))[0][:height, :width]], 1.0)
    sizes = ", ".join(f"{width} x {height}" for height, width in OTHER_SIZES)
    return [ScoreCardLine("takes one image alone and other sizes", True, f"{SIDE} x {SIDE}, {sizes}")]


def _costs(worker: SandboxedSubmission) -> list[ScoreCardLine]:
    start = time.monotonic()
    _protect(worker, samples(128)[:1], 1.0)
    seconds, peak = time.monotonic() - start, worker.peak_bytes / 2**20
    detail = f"{seconds:.1f} s for an image of 128 x 128, {peak:.0f} MiB at most"
    return [ScoreCardLine("costs", True, detail, required=False)]


def behaviour(worker: SandboxedSubmission) -> list[ScoreCardLine]:
    """Returns the lines about files, network and processes that the submission tried to use."""
    attempts, observed = worker.attempts, worker.observed
    return [
        ScoreCardLine("touches no network and no foreign files", not attempts, "; ".join(attempts) or "nothing tried"),
        ScoreCardLine(
            "starts no programs and no native code", not observed, "; ".join(observed) or "none", required=False
        ),
    ]


def _isolation(worker: SandboxedSubmission) -> ScoreCardLine:
    is_walled = bubblewrap.kind() == "bubblewrap"
    detail = f"bubblewrap and {' and '.join(worker.walls) or 'no seccomp'}"
    if not is_walled:
        detail = f"{bubblewrap.ACCIDENTS_ONLY} (with {' and '.join(worker.walls) or 'neither Landlock nor seccomp'})"
    return ScoreCardLine("runs behind bubblewrap", is_walled, detail, required=False)


def samples(side: int = SIDE) -> list[Pixels]:
    """Returns one image of each of `STYLES`, a square of `side` pixels."""
    squares = []
    for style in STYLES:
        first, *_ = image_files.read_folder(MINI / style / "images").values()
        squares.append(images.fit_square(first, side))
    return squares


def _protect(worker: SandboxedSubmission, pictures: Sequence[Pixels], strength: float) -> Protected:
    needs = worker.load().needs
    order = Order(
        strength=strength,
        budget_255=BUDGET_255,
        seed=0,
        class_word="painting",
        captions=["a painting"] * len(pictures),
        masks=[_right_half(picture) for picture in pictures],
        class_images=samples() if "class-images" in needs else (),
        clip="mini-clip" if "clip" in needs else "",
    )
    return worker.protect(pictures, order, SURROGATE)


def _right_half(picture: Pixels) -> Pixels:
    """Returns a mask `[H, W]` under which the right half of a picture may be repainted."""
    mask = np.zeros(picture.shape[:2], np.uint8)
    mask[:, picture.shape[1] // 2 :] = 255
    return mask


def _difference(first: Protected, second: Protected) -> float:
    pairs = zip(first.images, second.images, strict=True)
    return max(images.measure_budget(before, after).max_255 for before, after in pairs)


def _list(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.0f}" for value in values)
