"""The base protections that Impasto attaches to: their losses and their step schedules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor

from cloakbench import Request
from cloakbench.pgd import DescentSchedule
from cloakbench.streams import Generators
from cloakbench.whitebox import contexts, latent_means
from cloakbench_advdm import AdvDM
from cloakbench_advdm.protection import objective as ascent
from cloakbench_anti_dreambooth import AntiDreamBooth
from cloakbench_mist import Mist
from cloakbench_mist.protection import objective as fused
from cloakbench_mist.protection import target_latent
from cloakbench_photoguard import PhotoGuard

Loss = Callable[[Tensor], Tensor]
"""Images `[B, 3, H, W]` -> value to lower `[B]`."""
DENOISER_BALANCE = 0.05
"""What Impasto's terms are multiplied by beside a loss of the denoiser (the paper)."""


@dataclass(frozen=True, slots=True)
class BaseProtection:
    """A base protection.

    Attributes:
        loss: Streams of noise, one per image -> the loss of those images.
        schedule: The base's own start and step sizes.
        balance: Weight of Impasto's terms beside the loss.
    """

    loss: Callable[[Generators], Loss]
    schedule: DescentSchedule
    balance: float


def photoguard(_images: Tensor, request: Request, steps: int, _chunk: int) -> BaseProtection:
    """Returns the encoder attack on the latent 0: the root mean square of the unscaled latent's mean."""

    def size(images: Tensor) -> Tensor:
        return latent_means(request.surrogate, images).square().flatten(1).mean(1).sqrt()

    # The perceptual map changes on the way, so that values of different steps do not compare.
    schedule = replace(PhotoGuard(steps=steps).schedule(request.surrogate), keep="last")
    return BaseProtection(lambda _generators: size, schedule, 1.0)


def advdm(_images: Tensor, request: Request, steps: int, _chunk: int) -> BaseProtection:
    """Returns AdvDM's negative diffusion loss."""
    surrogate, context = request.surrogate, _context(request)
    return BaseProtection(lambda own: ascent(surrogate, context, own), AdvDM(steps=steps).schedule, DENOISER_BALANCE)


def mist(images: Tensor, request: Request, steps: int, _chunk: int) -> BaseProtection:
    """Returns Mist's fused loss."""
    surrogate, context, goal = request.surrogate, _context(request), target_latent(request.surrogate, images)
    return BaseProtection(
        lambda own: fused(surrogate, context, goal, own), Mist(steps=steps).schedule, DENOISER_BALANCE
    )


def anti_dreambooth(images: Tensor, request: Request, steps: int, chunk: int) -> BaseProtection:
    """Returns FSMG's: the negative diffusion loss of a surrogate fine-tuned on the clean images."""
    alone = AntiDreamBooth(method="fsmg", steps=steps, chunk=chunk)
    learner = alone.learner(request.surrogate, _context(request), images, request.generator)
    schedule = alone.schedule(request.surrogate)
    return BaseProtection(lambda own: ascent(learner.parts, learner.context, own), schedule, DENOISER_BALANCE)


BASES: dict[str, Callable[[Tensor, Request, int, int], BaseProtection]] = {
    "photoguard": photoguard,
    "advdm": advdm,
    "mist": mist,
    "anti-dreambooth": anti_dreambooth,
}
"""Clean images, request, steps, images at once -> the base."""


def _context(request: Request) -> Tensor:
    return contexts(request.surrogate, [f"a {request.class_word}"])
