"""Anti-DreamBooth (Van Le et al., 2023): raise the diffusion loss of surrogates that are learning the images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cloakbench import Protection, Request, Surrogate
from cloakbench.parameters import one_of, optional, positive, whole
from cloakbench.pgd import DescentSchedule, Step, by_autograd, descend
from cloakbench.streams import streams
from cloakbench.whitebox import contexts, diffusion_loss, sampled, settings
from cloakbench_anti_dreambooth.learner import Learner

METHODS = ("aspl", "fsmg")
TRAINING, ASCENT = 3, 6
"""ASPL's steps in each round, the authors': training on clean images, ascent, training on protected images."""

DEFAULTS = {
    "aspl": {
        "mini": {"learning_rate": 3e-4, "steps": 60, "chunk": 4},
        "stable-diffusion": {"learning_rate": 5e-7, "steps": 300, "chunk": 2},
    },
    "fsmg": {
        "mini": {"learning_rate": 3e-4, "steps": 60, "surrogate_steps": 100, "chunk": 4},
        "stable-diffusion": {"learning_rate": 5e-7, "steps": 100, "surrogate_steps": 1000, "chunk": 2},
    },
}
"""By method, family of the surrogate and parameter. On Stable Diffusion the authors' values, on mini project-defined
ones: its own DreamBooth's rate, and fewer steps."""


class AntiDreamBooth(Protection):
    """Maximises `E || eps_theta(z_t, t, c) - eps ||^2` over `|delta|_inf <= epsilon`, theta having learned the images.

    FSMG: theta is fine-tuned once on the clean images. ASPL: in turns, a copy of theta learns the clean images, the
    perturbation ascends against the copy, and theta learns the protected images.

    Args:
        method: `aspl` or `fsmg`.
        steps: Ascent steps; `aspl` takes six a round. On Stable Diffusion the authors' 300 (`fsmg`: 100), on mini 60.
        alpha: Step size as a share of epsilon. 1/10 is the authors' 0.005 of 0.05.
        learning_rate: Of the surrogates' AdamW; by default 5e-7 on Stable Diffusion, 3e-4 on mini.
        surrogate_steps: Training steps of the surrogate of `fsmg`: 1000 on Stable Diffusion, 100 on mini.
        chunk: Images that go through the model at once: 2 on Stable Diffusion, 4 on mini. It bounds the memory and does
            not change the result.
    """

    title = "Anti-DreamBooth"
    paper = "https://arxiv.org/abs/2303.15433"
    authors = "Van Le and others"
    licence = "Apache-2.0"
    needs = frozenset({"surrogate"})

    def __init__(
        self,
        *,
        method: str = "aspl",
        steps: int | None = None,
        alpha: float = 1 / 10,
        learning_rate: float | None = None,
        surrogate_steps: int | None = None,
        chunk: int | None = None,
    ) -> None:
        self.method = one_of("method", method, METHODS)
        self.defaults = DEFAULTS[self.method]
        self.alpha = positive("alpha", alpha)
        self.parameters = {
            "steps": optional(whole, "steps", steps),
            "learning_rate": optional(positive, "learning_rate", learning_rate),
            "surrogate_steps": optional(whole, "surrogate_steps", surrogate_steps),
            "chunk": optional(whole, "chunk", chunk),
        }

    def schedule(self, surrogate: Surrogate) -> DescentSchedule:
        """Returns the steps of the ascent on a surrogate."""
        steps = settings(surrogate, self.defaults, self.parameters)["steps"]
        return DescentSchedule(steps, self.alpha, start="zero", keep="last")

    def learner(self, surrogate: Surrogate, context: Tensor, images: Tensor, generator: torch.Generator) -> Learner:
        """Returns a copy of a surrogate that can be trained; that of `fsmg` has learned the images `[B, 3, H, W]`.

        `context` `[1, L, C]` is the prompt's, `generator` a CPU generator.
        """
        values = settings(surrogate, self.defaults, self.parameters)
        learner = Learner(surrogate, context, values["learning_rate"], values["chunk"]).copied()
        if self.method == "fsmg":
            learner.train(images, values["surrogate_steps"], generator)
        return learner

    def protect(self, images: Tensor, request: Request) -> Tensor:
        """Returns the images plus the perturbation after the last step, in whole 8-bit levels within the budget."""
        images = images.float()
        own = streams(request.generator, len(images))
        context = contexts(request.surrogate, [f"a {request.class_word}"])
        learner = self.learner(request.surrogate, context, images, request.generator)
        step: Step = ascent(learner, own)
        if self.method == "aspl":
            step = Alternation(learner, images, own, request.generator)
        return descend(images, request.epsilon, step, self.schedule(request.surrogate), own)


def ascent(learner: Learner, own: Sequence[torch.Generator]) -> Step:
    """Returns the step that raises the learner's diffusion loss, each image with the noise of its own stream."""
    parts, chunk = learner.parts, learner.chunk

    def step(images: Tensor, number: int) -> tuple[Tensor, Tensor]:
        parts_of_batch = []
        for n in range(0, len(images), chunk):
            generators = own[n : n + chunk]

            def loss(some: Tensor, generators: Sequence[torch.Generator] = generators) -> Tensor:
                return -diffusion_loss(parts, sampled(parts, some, generators), learner.context, generators)

            parts_of_batch.append(by_autograd(loss)(images[n : n + chunk], number))
        values, gradients = zip(*parts_of_batch, strict=True)
        return torch.cat(values), torch.cat(gradients)

    return step


class Alternation:
    """ASPL as a step of the descent: every sixth one first trains the surrogates on what the images have become."""

    def __init__(
        self, learner: Learner, clean: Tensor, own: Sequence[torch.Generator], generator: torch.Generator
    ) -> None:
        self.learner = learner
        self.clean = clean
        self.own = own
        self.generator = generator
        self.step = ascent(learner, own)

    def __call__(self, images: Tensor, number: int) -> tuple[Tensor, Tensor]:
        """Returns the value to lower `[B]` and its gradient, by the copy of the current round."""
        if number % ASCENT == 0:
            if number > 0:
                self.learner.train(images, TRAINING, self.generator)
            attacked = self.learner.copied()
            attacked.train(self.clean, TRAINING, self.generator)
            self.step = ascent(attacked, self.own)
        return self.step(images, number)
