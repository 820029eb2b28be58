"""Impasto (Ahn et al., 2024): a base protection held back where the eye would see it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from cloakbench import Protection, Request
from cloakbench.parameters import one_of, optional, whole
from cloakbench.pgd import by_autograd, descend, in_chunks
from cloakbench.streams import Generators
from cloakbench.whitebox import settings
from cloakbench_impasto import jnd
from cloakbench_impasto.bases import BASES, BaseProtection
from cloakbench_impasto.constraints import masked_distance, masked_low_pass, masked_norm, towards_noise_free
from cloakbench_impasto.difficulty import Difficulty
from cloakbench_impasto.weighting import PerceptualMap

REFINED_EVERY = 4
"""Steps between two refinements of the map's weights (K of the paper)."""
STEPS = {"photoguard": 1000, "advdm": 100, "mist": 100, "anti-dreambooth": 100}
"""Steps on Stable Diffusion by base: those of the base's authors."""
CLIP_WEIGHT = 1.0
"""Weight of the CLIP term (lambda 3), a cosine; project-defined, the paper's is not known."""
JUDGED_EVERY = 20
"""Steps between two looks at the difficulty (project-defined)."""


@dataclass(frozen=True, slots=True)
class Components:
    """What of Impasto is on: weights, of which 0 means off, the names of the maps, switches."""

    pap: float
    maps: tuple[str, ...]
    iwr: bool
    dap: bool
    lpips: float
    lowpass: float
    clip: float


class Impasto(Protection):
    """Minimises `L_base(x + delta) + pap |M delta| + lpips LPIPS_M + lowpass |M phi(delta)|` in the L-infinity ball.

    M is near 1 where the eye notices a change most: the mean of five maps of the just noticeable difference, weighted
    for each image (`iwr`), times a map of how much the perturbation is felt after diffusion (`dap`).

    Args:
        base: `photoguard`, `advdm`, `mist` (fused) or `anti-dreambooth` (FSMG): whose loss and schedule are taken.
        steps: Descent steps: on Stable Diffusion those of the base's own entry, on mini 100. The paper's are not known.
        pap: Weight of the perception-aware norm; 0 leaves it out.
        jnd: `all` five maps, `off` (M is 1), or one of `la`, `cm`, `csf`, `std`, `entropy`.
        iwr: Whether the maps' weights are refined for each image; needs `all`, else there is nothing to refine.
        dap: Whether M is lowered where the perturbation would not survive diffusion.
        lpips: Weight of the masked perceptual distance; 0 leaves it out.
        lowpass: Weight of the masked low-pass term; 0 leaves it out.
        clip: Whether the suite's CLIP pulls the image towards the text "Noise-free image" (the paper's).
        chunk: Images that go through the model at once: 2 on Stable Diffusion, 4 on mini. It bounds the memory and does
            not change the result.
    """

    title = "Impasto"
    paper = "https://arxiv.org/abs/2403.19254"
    authors = "Ahn and others"
    licence = "Apache-2.0"
    needs = frozenset({"surrogate"})

    def __init__(
        self,
        *,
        base: str = "photoguard",
        steps: int | None = None,
        pap: float = 10.0,
        jnd: str = "all",
        iwr: bool = True,
        dap: bool = True,
        lpips: float = 1.0,
        lowpass: float = 5.0,
        clip: bool = False,
        chunk: int | None = None,
    ) -> None:
        self.base = one_of("base", base, tuple(BASES))
        self.defaults = {
            "mini": {"steps": 100, "chunk": 4},
            "stable-diffusion": {"steps": STEPS[self.base], "chunk": 2},
        }
        self.parameters = {"steps": optional(whole, "steps", steps), "chunk": optional(whole, "chunk", chunk)}
        self.components = Components(
            _weight("pap", pap),
            _maps(jnd),
            _switch("iwr", iwr),
            _switch("dap", dap),
            _weight("lpips", lpips),
            _weight("lowpass", lowpass),
            CLIP_WEIGHT if _switch("clip", clip) else 0.0,
        )
        if clip:
            self.needs = self.needs | {"clip"}

    def protect(self, images: Tensor, request: Request) -> Tensor:
        """Returns the images plus the perturbation after the last step, in whole 8-bit levels within the budget."""
        images = images.float()
        values = settings(request.surrogate, self.defaults, self.parameters)
        base = BASES[self.base](images, request, values["steps"], values["chunk"])

        def move(part: Tensor, generators: Generators) -> Tensor:
            step = WeightedStep(part, request, base, self.components, generators)
            return descend(part, request.epsilon, step, base.schedule, generators)

        return in_chunks(images, values["chunk"], request.generator, move)


class WeightedStep:
    """A step of the descent, which keeps the map M of its images up to date."""

    def __init__(
        self, images: Tensor, request: Request, base: BaseProtection, components: Components, generators: Generators
    ) -> None:
        self.images = images
        self.perceptual = request.surrogate.perceptual
        self.loss = base.loss(generators)
        self.balance = base.balance
        self.components = components
        self.map = PerceptualMap(images, components.maps)
        self.difficulty = (
            Difficulty(images, request.surrogate, f"a {request.class_word}", generators) if components.dap else None
        )
        self.easy: Tensor | float = 1.0
        self.pull = towards_noise_free(request.clip) if components.clip and request.clip is not None else None

    def __call__(self, perturbed: Tensor, number: int) -> tuple[Tensor, Tensor]:
        """Returns the value to lower `[B]` and its gradient."""
        if self.components.iwr and number > 0 and number % REFINED_EVERY == 0:
            self.map.refine(perturbed - self.images)
        if self.difficulty is not None and number % JUDGED_EVERY == 0:
            self.easy = self.difficulty.value(perturbed)
        return by_autograd(self._value)(perturbed, number)

    def _value(self, perturbed: Tensor) -> Tensor:
        on, mask, delta = self.components, self.map.value() * self.easy, perturbed - self.images
        cost = on.pap * masked_norm(delta, mask) + on.lowpass * masked_low_pass(delta, mask)
        if on.lpips:  # a network's forward and backward: not for nothing
            cost = cost + on.lpips * masked_distance(self.images, delta, mask, self.perceptual)
        if self.pull is not None:
            cost = cost + on.clip * self.pull(perturbed)
        return self.loss(perturbed) + self.balance * cost


def _maps(name: str) -> tuple[str, ...]:
    one_of("jnd", name, ("all", "off", *jnd.MAPS))
    return {"all": tuple(jnd.MAPS), "off": ()}.get(name, (name,))


def _weight(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise ValueError(f"{name}: expected a number of at least 0, got {value!r}")
    return float(value)


def _switch(name: str, value: bool) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{name}: expected true or false, got {value!r}")
    return value
