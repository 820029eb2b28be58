"""Glaze (Shan et al., 2023): move the latent of an image towards the latent of the same image in another style."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from cloakbench import Protection, Request, pgd, whitebox
from cloakbench.parameters import one_of, optional, positive, whole
from cloakbench_glaze import styles
from cloakbench_glaze.transfer import restyle

CHOSEN = "chosen"
"""The value of `style` that leaves the choice to the distances of the candidates."""
CHUNK = 4
"""Images that go through the model at once; it bounds the memory and does not change the result."""
Loss = Callable[[Tensor, Tensor], Tensor]
"""Images `[B, 3, H, W]` in [0, 1] and their latents `[B, C, h, w]` -> value to lower `[B]`."""
DEFAULTS = {"mini": {"steps": 100, "rate": 0.004}, "stable-diffusion": {"steps": 500, "rate": 0.04}}
"""By family of the surrogate and parameter."""


class Glaze(Protection):
    """Minimises `MSE(E(x + delta), E(style(x))) + alpha * max(d(x, x + delta) - p, 0)` with Adam.

    `d` is the surrogate's perceptual distance and `p = limit * strength`; nothing else bounds delta. Adam's learning
    rate grows with the strength as well.

    Args:
        steps: Adam's steps: on Stable Diffusion the 500 of IMPRESS's re-implementation, on mini 100 (project-defined).
        rate: Adam's learning rate at strength 1, for images in [-1, 1]. On Stable Diffusion 0.04: the 0.01 of IMPRESS's
            paper stands at strength 0.25, as its p does. On mini 0.004 (project-defined).
        alpha: Weight of the hinge (the authors' of IMPRESS).
        limit: The p at strength 1 (project-defined): the papers' p, 0.05, stands at strength 0.25.
        style: The target style by name, or `chosen`: drawn among those clearly different from the artist's.
    """

    title = "Glaze (re-implementation)"
    paper = "https://arxiv.org/abs/2302.04222"
    authors = "Shan and others"
    licence = "Apache-2.0"
    budget = "perceptual"
    needs = frozenset({"surrogate"})
    defaults = DEFAULTS

    def __init__(
        self,
        *,
        steps: int | None = None,
        rate: float | None = None,
        alpha: float = 30.0,
        limit: float = 0.2,
        style: str = CHOSEN,
    ) -> None:
        self.parameters = {"steps": optional(whole, "steps", steps), "rate": optional(positive, "rate", rate)}
        self.alpha = positive("alpha", alpha)
        self.limit = positive("limit", limit)
        self.style = one_of("style", style, (CHOSEN, *styles.EMBEDDED, *styles.MOVEMENTS))

    def protect(self, images: Tensor, request: Request) -> Tensor:
        """Returns the images after the last step, in whole 8-bit levels; not bounded by `request.epsilon`."""
        images = images.float()
        parts = zip(torch.split(images, CHUNK), torch.split(self.goals(images, request), CHUNK), strict=True)
        return (torch.cat([self._cloak(part, goals, request) for part, goals in parts]) * 255).round() / 255

    @torch.no_grad()
    def goals(self, images: Tensor, request: Request) -> Tensor:
        """Returns the latents `[B, C, h, w]` of the images in the target style."""
        surrogate = request.surrogate
        shape = whitebox.latent_means(surrogate, images[:1]).expand(len(images), -1, -1, -1)
        noise = whitebox.normal(shape, request.generator)
        style = self.style
        if style == CHOSEN:
            style = styles.choose(images, noise, surrogate, request.generator)
        prompt = styles.prompt(style, surrogate)
        parts = zip(torch.split(images, CHUNK), torch.split(noise, CHUNK), strict=True)
        return torch.cat([whitebox.latent_means(surrogate, restyle(x, prompt, n, surrogate)) for x, n in parts])

    def loss(self, originals: Tensor, goals: Tensor, request: Request) -> Loss:
        """Returns the objective for images that take on the latents `goals` and stay near the originals."""
        p = self.limit * request.strength

        def loss(images: Tensor, latents: Tensor) -> Tensor:
            excess = (request.surrogate.perceptual(images, originals) - p).clamp_min(0)
            return (latents - goals).square().mean((1, 2, 3)) + self.alpha * excess

        return loss

    def step(self, loss: Loss, request: Request) -> pgd.Step:
        """Returns the objective's value and gradient for a step of the descent."""
        return pgd.by_autograd(lambda images: loss(images, whitebox.latent_means(request.surrogate, images)))

    def _cloak(self, originals: Tensor, goals: Tensor, request: Request) -> Tensor:
        step = self.step(self.loss(originals, goals, request), request)
        x = (originals * 2 - 1).requires_grad_()
        values = whitebox.settings(request.surrogate, self.defaults, self.parameters)
        adam = torch.optim.Adam([x], values["rate"] * request.strength)
        for number in range(values["steps"]):
            _, x.grad = step((x.detach() + 1) / 2, number)
            adam.step()
            with torch.no_grad():
                x.clamp_(-1, 1)
        return (x.detach() + 1) / 2
