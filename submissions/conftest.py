"""A toy surrogate for the tests of the baselines: parts so simple that a test can repeat them by hand."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler
from torch import Tensor, nn

from cloakbench import Request, Surrogate

DEVIATION, SCALE = 0.1, 0.5


class ToyVAE(nn.Module):
    """Encodes each 8 x 8 block linearly; the posterior's deviation is the same everywhere."""

    config = SimpleNamespace(scaling_factor=SCALE)

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Conv2d(3, 4, 8, stride=8)

    def encode(self, images: Tensor) -> SimpleNamespace:
        """Returns what the VAE of diffusers does, as far as protections look at it."""
        mean = self.blocks(images)
        return SimpleNamespace(latent_dist=SimpleNamespace(mean=mean, std=torch.full_like(mean, DEVIATION)))


class ToyUNet(nn.Module):
    """Predicts a linear function of the noised latent and the prompt, and keeps how it was called."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(4, 4, 1)
        self.calls: list[tuple[int, bool]] = []

    def forward(self, noisy: Tensor, _times: Tensor, encoder_hidden_states: Tensor) -> SimpleNamespace:
        """Returns the prediction; keeps the number of latents and whether gradients were followed."""
        self.calls.append((len(noisy), torch.is_grad_enabled()))
        return SimpleNamespace(sample=self.mix(noisy) + encoder_hidden_states.mean() / 100)


class ToyTokenizer:
    """Gives a text's length as its only token, and keeps the texts."""

    model_max_length = 1

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, texts: list[str], **_settings: Any) -> SimpleNamespace:
        """Returns the tokens; keeps the texts."""
        self.texts += texts
        return SimpleNamespace(input_ids=torch.tensor([[len(text)] for text in texts]))


def _embedded(ids: Tensor) -> SimpleNamespace:
    return SimpleNamespace(last_hidden_state=ids[..., None].float())


@pytest.fixture
def toy() -> Callable[..., Surrogate]:
    """Makes a toy surrogate that predicts `epsilon` or `v_prediction`."""

    def make(prediction: str = "epsilon") -> Surrogate:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            vae, unet = (part.eval().requires_grad_(requires_grad=False) for part in (ToyVAE(), ToyUNet()))
        scheduler = DDIMScheduler(prediction_type=prediction)
        nothing = torch.device("cpu"), torch.float32
        return Surrogate("toy", vae, unet, _embedded, ToyTokenizer(), scheduler, lambda x, _y: x.mean(), *nothing)

    return make


@pytest.fixture
def three_images() -> Tensor:
    """Three smooth images of 32 pixels, in whole 8-bit levels and away from black and white."""
    coarse = torch.rand((3, 3, 4, 4), generator=torch.Generator().manual_seed(1))
    smooth = nn.functional.interpolate(coarse, size=(32, 32), mode="bilinear")
    return ((0.2 + 0.6 * smooth) * 255).round() / 255


@pytest.fixture
def ask() -> Callable[..., Request]:
    """Makes a request for three paintings within 8/255."""

    def make(surrogate: Surrogate, seed: int = 5) -> Request:
        generator = torch.Generator().manual_seed(seed)
        return Request(1.0, 8 / 255, surrogate, generator, "painting", ("a boat in the style of sks",) * 3)

    return make
