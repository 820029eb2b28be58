"""Editing by an instruction with InstructPix2Pix (Brooks et al. 2023, arXiv 2211.09800)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionOutput
from torch import Tensor

from cloakbench.attacks.mimicry import sampling
from cloakbench.errors import UserError
from cloakbench.images import Pixels, quantise, to_tensor
from cloakbench.models.loader import BaseModel
from cloakbench.schemas.suite import Diffusing
from cloakbench.system.memory import at_once

PROMPT = "{prompt}"


class EditInstruct:
    """Edits each image by a denoiser that sees the image beside what it denoises, from noise, under an instruction.

    Args:
        steps: Of the denoising.
        guidance: Towards the instruction.
        image_guidance: Towards the image.
        scheduler: `dpm++` or `ddim`.
        wording: The instruction, in which `{prompt}` is the prompt of the edit.
    """

    def __init__(
        self,
        steps: int,
        guidance: float,
        image_guidance: float,
        scheduler: str = "dpm++",
        wording: str = f"turn it into {PROMPT}",
    ) -> None:
        if min(guidance, image_guidance) < 1 or PROMPT not in wording:
            raise ValueError(f"guidance and image_guidance must be at least 1, and wording must have {PROMPT}")
        # The denoiser below has both guidances in it.
        self.settings = Diffusing.model_validate({"steps": steps, "guidance": 1.0, "scheduler": scheduler})
        self.guidance = guidance
        self.image_guidance = image_guidance
        self.wording = wording

    def apply(
        self,
        model: BaseModel,
        images: Sequence[Pixels],
        prompts: Sequence[str],
        seeds: Sequence[int],
        _masks: Sequence[Pixels] = (),
        chunk: int = 8,
    ) -> list[Pixels]:
        """Returns the edit of each image under its prompt, from its own seed.

        Raises UserError where the model's denoiser has no room for the image.
        """
        expected, channels = 2 * model.vae.config.latent_channels, model.unet.config.in_channels
        if channels != expected:
            raise UserError(
                f"expected a model of {expected} input channels that edits by instructions, got {model.name!r} of "
                f"{channels}",
                "Name instruct-pix2pix or another as the attack's model.",
            )
        texts = [self.wording.replace(PROMPT, prompt) for prompt in prompts]
        edits: list[Pixels] = []
        chunk = at_once(chunk, len(images))
        for at in range(0, len(images), chunk):
            rows = slice(at, at + chunk)
            edits += self._edit(model, to_tensor(images[rows]), texts[rows], seeds[rows])
        return edits

    @torch.no_grad()
    def _edit(self, model: BaseModel, images: Tensor, texts: Sequence[str], seeds: Sequence[int]) -> list[Pixels]:
        """Returns the edits; the latent of the image is not scaled, as in the model's training."""
        shown = model.vae.encode(images.to(model.device, model.dtype) * 2 - 1).latent_dist.mode()
        noise = sampling.seeded_noise(model, seeds, shown.shape[1:])
        latents = noise * sampling.schedule(model, self.settings).init_noise_sigma
        unet = _GuidedUnet(model.unet, shown, model.embed([""]), self.guidance, self.image_guidance)
        contexts = model.embed(list(texts))[None]
        denoised = sampling.denoise(replace(model, unet=unet), latents, (contexts, contexts), self.settings)
        return quantise(model.decode(denoised))


class _GuidedUnet:
    """A denoiser guided towards image and text: `e(0, 0) + s_i (e(i, 0) - e(0, 0)) + s_t (e(i, t) - e(i, 0))`."""

    def __init__(self, unet: Any, shown: Tensor, empty: Tensor, guidance: float, image_guidance: float) -> None:
        self.unet = unet
        self.shown = torch.cat([shown, shown, torch.zeros_like(shown)])
        self.empty = empty.expand(2 * len(shown), -1, -1)
        self.guidance = guidance
        self.image_guidance = image_guidance

    def __call__(self, latents: Tensor, time: Any, encoder_hidden_states: Tensor) -> UNet2DConditionOutput:
        inputs = torch.cat([latents.repeat(3, 1, 1, 1), self.shown], dim=1)
        contexts = torch.cat([encoder_hidden_states, self.empty])
        towards, beside, without = self.unet(inputs, time, encoder_hidden_states=contexts).sample.chunk(3)
        guided = without + self.image_guidance * (beside - without) + self.guidance * (towards - beside)
        return UNet2DConditionOutput(sample=guided)
