"""A machine whose memory holds few images at a time: networks raise as CUDA does where there are more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel

TOLD = "CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has less."


@contextmanager
def room(unet: int = 99, vae: int = 99) -> Iterator[list[int]]:
    """Lets so many images through a denoiser and an autoencoder; yields those that were too many."""
    refused: list[int] = []

    def cramped(network: type, method: str, most: int) -> object:
        original = getattr(network, method)

        def forward(self, batch, *others, **named):
            if len(batch) > most:
                refused.append(len(batch))
                raise torch.OutOfMemoryError(TOLD)
            return original(self, batch, *others, **named)

        return forward

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(UNet2DConditionModel, "forward", cramped(UNet2DConditionModel, "forward", unet))
        for method in ("encode", "decode"):
            patch.setattr(AutoencoderKL, method, cramped(AutoencoderKL, method, vae))
        yield refused
