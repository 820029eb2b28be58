"""Stable Diffusion XL with the calls of Stable Diffusion (Podell et al. 2023, arXiv 2307.01952).

XL has two text encoders and attends to the states of both. It also takes a pooled embedding and six numbers on the size
and crop of the image. Here the pooled embedding is the last row of the text contexts, and the denoiser derives the six
numbers from the latents. So fine-tuning, sampling and protections run the same code for both families.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn
from torch.nn.functional import pad
from transformers.modeling_outputs import BaseModelOutput

PIXELS_PER_LATENT = 8
"""Side of an image over that of its latents."""


class XlTextEncoder(nn.Module):
    """Both text encoders as one: token ids in, contexts `[B, L + 1, C]` out, whose last row is the pooled embedding.

    Args:
        first: CLIP's text encoder.
        second: CLIP's text encoder with projection; the pooled embedding is its.
        end: Id of the end of a text, the same for both.
        padding: Id with which the second's tokenizer fills up what follows the end.
    """

    def __init__(self, first: nn.Module, second: nn.Module, end: int, padding: int) -> None:
        super().__init__()
        self.first = first
        self.second = second
        self.end = end
        self.padding = padding

    def forward(self, ids: Tensor) -> BaseModelOutput:
        """Returns the states before the last layer of both, side by side, and the pooled embedding, filled with zeros.

        Args:
            ids: `[B, L]`, as the first's tokenizer makes them.
        """
        states = self.first(ids, output_hidden_states=True).hidden_states[-2]
        outputs = self.second(self.second_ids(ids), output_hidden_states=True)
        joined = torch.cat([states, outputs.hidden_states[-2]], dim=-1)
        pooled = outputs.text_embeds
        row = pad(pooled, (0, joined.shape[-1] - pooled.shape[-1]))[:, None]
        return BaseModelOutput(last_hidden_state=torch.cat([joined, row], dim=1))

    def second_ids(self, ids: Tensor) -> Tensor:
        """Returns the ids `[B, L]` as the second's tokenizer makes them: another padding behind the end."""
        ends = (ids == self.end).long()
        is_behind = ends.cumsum(1) > ends
        return torch.where(is_behind, self.padding, ids)


class XlDenoiser(UNet2DConditionModel):  # type: ignore[misc]  # diffusers is untyped
    """The denoiser, which takes the pooled embedding out of the contexts and says the sizes itself."""

    def forward(self, sample: Tensor, timestep: Any, encoder_hidden_states: Tensor, **others: Any) -> Any:
        """Returns what the stock denoiser returns for an image that is neither enlarged nor cropped.

        Args:
            sample: Noised latents `[B, C, h, w]`.
            timestep: Diffusion times.
            encoder_hidden_states: Contexts `[B, L + 1, C]` of `XlTextEncoder`.
            others: Further arguments of the stock denoiser. With its own `added_cond_kwargs` it is the stock denoiser.
        """
        if "added_cond_kwargs" not in others:
            states, row = encoder_hidden_states[:, :-1], encoder_hidden_states[:, -1]
            pooled = row[:, : self.pooled_width]
            others["added_cond_kwargs"] = {"text_embeds": pooled, "time_ids": time_ids(sample)}
            encoder_hidden_states = states
        return super().forward(sample, timestep, encoder_hidden_states, **others)

    @property
    def pooled_width(self) -> int:
        """Length of the pooled embedding."""
        return int(self.config.projection_class_embeddings_input_dim) - 6 * int(self.config.addition_time_embed_dim)


def time_ids(latents: Tensor) -> Tensor:
    """Returns the six numbers `[B, 6]` of images that keep their size: original size, crop's corner, target size."""
    height, width = (side * PIXELS_PER_LATENT for side in latents.shape[-2:])
    # Filled on the device: a copy from the CPU cannot be part of a CUDA graph.
    columns = [latents.new_full((len(latents),), value) for value in (height, width, 0, 0, height, width)]
    return torch.stack(columns, dim=1)
