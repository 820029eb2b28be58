"""`cloakbench check`: does a protection hold the contract, before anyone spends an hour on a run."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from cloakbench import image_files, images
from cloakbench.datasets.artists import MINI
from cloakbench.errors import BenchmarkError
from cloakbench.images import Pixels
from cloakbench.submissions import suspicion
from cloakbench.submissions.guard import Order, Protected
from cloakbench.submissions.sandbox.client import SandboxedSubmission, SurrogateChoice

STYLES = ("swirl", "stencil")
"""Development artists, of continuous tone and of flat shapes: no suite's artist is looked at."""
SIDE = 64
BUDGET_255 = 16
STRENGTHS = (0.25, 0.5, 1.0)
OTHER_SIZES = ((72, 104), (75, 101))
"""Height and width: one that is no square, one that is no multiple of 8."""
SURROGATE = SurrogateChoice("mini-a", "cpu", "float32")


@dataclass(frozen=True, slots=True)
class ScoreCardLine:
    """One line of the score card; an official run refuses an entry that fails a `required` one."""

    name: str
    passed: bool
    found: str
    required: bool = True


@dataclass(slots=True)
class Card:
    """What `check` found, in the order in which it looked."""

    protection: str
    isolation: str
    checks: list[ScoreCardLine] = field(default_factory=list)

    @property
    def accepted(self) -> bool:
        """Whether an official run would take the entry."""
        return all(check.passed for check in self.checks if check.required)


def check(spelling: str) -> Card:
    """Returns the score card of a protection, measured on the embedded model; raises UserError for an unknown name."""
    with SandboxedSubmission(spelling) as worker:
        card = Card(spelling, worker.isolation)
        for look in (_loads, _strengths, _sizes, _costs):
            if not _looked(card, look, worker):
                break
        card.checks.append(_untried(worker))
    left = worker.left_behind
    card.checks.append(ScoreCardLine("ends its processes", left == 0, f"{left} left behind"))
    return card


def _looked(
    card: Card, look: Callable[[SandboxedSubmission], Sequence[ScoreCardLine]], worker: SandboxedSubmission
) -> bool:
    """Adds what a look found; a fault becomes a failed check and ends the looking."""
    try:
        card.checks += look(worker)
    except BenchmarkError as error:
        if not card.checks and look is _loads:
            raise
        card.checks.append(ScoreCardLine("runs", passed=False, found=error.message))
        return False
    return True


def _loads(worker: SandboxedSubmission) -> list[ScoreCardLine]:
    claims = worker.load()
    licence = claims.licence or "none named"
    return [
        ScoreCardLine("loads", passed=True, found=claims.title),
        ScoreCardLine("names its licence", bool(claims.licence), licence, required=False),
        ScoreCardLine("names its paper", bool(claims.paper), claims.paper or "none named", required=False),
    ]


def _strengths(worker: SandboxedSubmission) -> list[ScoreCardLine]:
    pictures = samples()
    runs = {strength: _ask(worker, pictures, strength) for strength in STRENGTHS}
    again = _ask(worker, pictures, 1.0)
    means = [float(np.mean([b.mean_255 for b in runs[s].budgets])) for s in STRENGTHS]
    most = [max(b.max_255 for b in runs[s].budgets) for s in STRENGTHS]
    same = _apart(runs[1.0], again)
    steady = not worker.load().deterministic
    rising = all(low < high for low, high in itertools.pairwise(means))
    at = ", ".join(f"{s:g}: {m:.1f}" for s, m in zip(STRENGTHS, means, strict=True))
    return [
        ScoreCardLine("keeps shape, range and budget on the saved PNG", True, f"largest change {_list(most)} of 255"),
        ScoreCardLine("same seed, same bytes", same == 0 or steady, f"two runs differ by {same:.0f} levels"),
        ScoreCardLine(
            "survives rounding to 8 bit", means[0] > 0, f"mean change of {means[0]:.2f} levels at {STRENGTHS[0]:g}"
        ),
        ScoreCardLine("more strength, more change", rising, f"mean levels at {at}", required=False),
        *(
            ScoreCardLine(name, passed, found, required=False)
            for name, passed, found in suspicion.flags(pictures, runs[1.0])
        ),
    ]


def _sizes(worker: SandboxedSubmission) -> list[ScoreCardLine]:
    pictures = samples()
    _ask(worker, pictures[:1], 1.0)
    for height, width in OTHER_SIZES:
        _ask(worker, [samples(max(height, width))[0][:height, :width]], 1.0)
    sizes = ", ".join(f"{width} x {height}" for height, width in OTHER_SIZES)
    return [ScoreCardLine("takes one image alone and other sizes", True, f"{SIDE} x {SIDE}, {sizes}")]


def _costs(worker: SandboxedSubmission) -> list[ScoreCardLine]:
    start = time.monotonic()
    _ask(worker, samples(128)[:1], 1.0)
    seconds, peak = time.monotonic() - start, worker.peak_bytes / 2**20
    return [
        ScoreCardLine(
            "costs", True, f"{seconds:.1f} s for an image of 128 x 128, {peak:.0f} MiB at most", required=False
        )
    ]


def _untried(worker: SandboxedSubmission) -> ScoreCardLine:
    tried = worker.attempts
    return ScoreCardLine("touches no network and no foreign files", not tried, "; ".join(tried) or "nothing tried")


def samples(side: int = SIDE) -> list[Pixels]:
    """Returns one image of each of `STYLES`, a square of `side` pixels."""
    firsts = [next(iter(image_files.read_folder(MINI / style / "images").values())) for style in STYLES]
    return [images.fit_square(pixels, side) for pixels in firsts]


def _ask(worker: SandboxedSubmission, pictures: Sequence[Pixels], strength: float) -> Protected:
    captions = ["a painting"] * len(pictures)
    order = Order(strength=strength, budget_255=BUDGET_255, seed=0, class_word="painting", captions=captions)
    return worker.protect(pictures, order, SURROGATE)


def _apart(first: Protected, second: Protected) -> float:
    pairs = zip(first.images, second.images, strict=True)
    return max(images.measure_budget(a, b).max_255 for a, b in pairs)


def _list(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.0f}" for value in values)
