"""Inpainting, the second editing task of PhotoGuard (Salman et al. 2023, arXiv 2302.06588) and of IMPRESS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor
from torch.nn import functional as F

from cloakbench.attacks.mimicry import sampling
from cloakbench.errors import UserError
from cloakbench.images import Pixels, quantise, to_tensor
from cloakbench.models.loader import BaseModel
from cloakbench.schemas.suite import Diffusing
from cloakbench.streams import seeded
from cloakbench.system.memory import at_once


class Inpaint:
    """Repaints the masked part of each image from noise, under the prompt of the edit.

    The denoiser sees the mask and the latent of the rest beside what it denoises (Rombach et al. 2022, arXiv
    2112.10752, 4.5). With an `eta` above 0, `ddim` draws noise anew at every step (Song et al. 2020, eq. 16).
    """

    def __init__(self, steps: int, guidance: float, scheduler: str = "dpm++", eta: float = 0.0) -> None:
        if not 0 <= eta <= 1 or (eta > 0 and scheduler != "ddim"):
            raise ValueError("eta must lie in [0, 1], and above 0 belongs to the scheduler ddim")
        self.settings = Diffusing.model_validate({"steps": steps, "guidance": guidance, "scheduler": scheduler})
        self.eta = eta

    def apply(
        self,
        model: BaseModel,
        images: Sequence[Pixels],
        prompts: Sequence[str],
        seeds: Sequence[int],
        masks: Sequence[Pixels],
        chunk: int = 8,
    ) -> list[Pixels]:
        """Returns the edit of each image under its prompt and mask `[H, W]` (255: repainted), from its own seed.

        The whole image is what the model decodes, the kept part too. Raises UserError where the model has no room for
        the mask and the masked image.
        """
        expected, channels = 2 * model.vae.config.latent_channels + 1, model.unet.config.in_channels
        if channels != expected:
            raise UserError(
                f"expected an inpainting model of {expected} input channels, got {model.name!r} of {channels}",
                "Name sd15-inpaint or another as the attack's model.",
            )
        edits: list[Pixels] = []
        chunk = at_once(chunk, len(images))
        for at in range(0, len(images), chunk):
            rows = slice(at, at + chunk)
            repainted = to_tensor([self.repainted(mask)[..., None] for mask in masks[rows]])
            edits += self._repaint(model, to_tensor(images[rows]), repainted, prompts[rows], seeds[rows])
        return edits

    def repainted(self, mask: Pixels) -> Pixels:
        """Returns the mask `[H, W]` under which an image with this mask is repainted: here the same."""
        return mask

    @torch.no_grad()
    def _repaint(
        self, model: BaseModel, images: Tensor, masks: Tensor, prompts: Sequence[str], seeds: Sequence[int]
    ) -> list[Pixels]:
        """Returns the edits; noise is drawn in the order of diffusers' StableDiffusionInpaintPipeline."""
        generators = seeded(seeds)
        masks = masks.to(model.device, model.dtype)
        encoded = model.vae.encode((images.to(masks) * 2 - 1) * (1 - masks)).latent_dist
        noise = randn_tensor(encoded.mean.shape, generators, model.device, model.dtype)
        unmasked = encoded.sample(generators) * model.vae.config.scaling_factor
        condition = torch.cat([F.interpolate(masks, unmasked.shape[-2:]), unmasked], dim=1)
        conditioned = replace(model, unet=_ConditionedUnet(model.unet, condition))
        latents = noise * sampling.schedule(model, self.settings).init_noise_sigma
        contexts = model.embed([""])[None], model.embed(list(prompts))[None]
        stepping: dict[str, Any] = {"eta": self.eta, "generator": generators} if self.eta else {}
        return quantise(model.decode(sampling.denoise(conditioned, latents, contexts, self.settings, **stepping)))


class InpaintBox(Inpaint):
    """Repaints under a mask of another kind than the given one: what a user draws as a rectangle."""

    def repainted(self, mask: Pixels) -> Pixels:
        """Returns the mask in which its smaller part has grown to a rectangle."""
        return boxed(mask)


def boxed(mask: Pixels) -> Pixels:
    """Returns a mask `[H, W]` in which the smaller one of its two parts has grown to its upright bounding rectangle."""
    repainted = mask > 0
    is_smaller = 2 * int(repainted.sum()) <= mask.size
    part = repainted if is_smaller else ~repainted
    rows, columns = np.flatnonzero(part.any(1)), np.flatnonzero(part.any(0))
    box = np.zeros_like(part)
    if len(rows):
        box[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
    return np.where(box == is_smaller, 255, 0).astype(np.uint8)


class _ConditionedUnet:
    """A denoiser whose input is the latents and further channels `[B, C, h, w]`; a batch may have a multiple of B."""

    def __init__(self, unet: Any, channels: Tensor) -> None:
        self.unet = unet
        self.channels = channels

    def __call__(self, latents: Tensor, time: Tensor, **others: Any) -> Any:
        repeated = self.channels.repeat(len(latents) // len(self.channels), 1, 1, 1)
        return self.unet(torch.cat([latents, repeated], dim=1), time, **others)
