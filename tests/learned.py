"""One real DreamBooth on the trained embedded model, for the tests that need a denoiser that has learned something."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from cloakbench.attacks.mimicry.dreambooth import DreamBooth
from cloakbench.attacks.mimicry.finetune import Batch, diffusion_loss, posterior
from cloakbench.attacks.mimicry.personalised import Personalised, TrainingSet
from cloakbench.datasets.artists import Artist, mini_artist
from cloakbench.images import to_tensor
from cloakbench.metrics.judge import Judge
from cloakbench.models import loader, registry
from cloakbench.models.loader import BaseModel
from cloakbench.schemas.suite import Suite
from cloakbench.suites import load as suites

ARTIST = "stencil"  # a development style: the eight artists are looked at once
STEPS = 60


@dataclass(frozen=True)
class Mimicry:
    suite: Suite
    artist: Artist
    model: BaseModel
    before: dict[str, Tensor]
    """The base denoiser's weights before the training."""
    learned: Personalised
    judge: Judge

    def loss(self, unet: Any) -> float:
        """The diffusion loss on the artist's images, at fixed noise and times."""
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            latents = posterior(self.model, to_tensor(self.artist.images))[0] * self.model.vae.config.scaling_factor
            latents = latents.repeat(4, 1, 1, 1)
            noise = torch.randn(latents.shape, generator=generator)
            times = torch.randint(0, 1000, (len(latents),), generator=generator)
            context = self.model.embed(list(self.artist.captions)).repeat(4, 1, 1)
            return diffusion_loss(replace(self.model, unet=unet), Batch(latents, noise, times, context)).item()


def present() -> bool:
    return all((registry.WEIGHTS / name).exists() for name in ("mini-a/model_index.json", "mini-clip/styles.json"))


def mimicry() -> Mimicry:
    suite = suites.load("mini")
    artist = mini_artist(ARTIST, suite)
    model = loader.load(str(registry.WEIGHTS / "mini-a"))
    before = {name: weight.clone() for name, weight in model.unet.state_dict().items()}
    attack = DreamBooth(**{**suite.mimicry["dreambooth"], "steps": STEPS})
    pixels = to_tensor(artist.images)
    data = TrainingSet(pixels, artist.captions, suite.token, suite.class_word, suite.sampling)
    learned = attack.personalise(model, data, 7)
    return Mimicry(suite, artist, model, before, learned, Judge(registry.WEIGHTS / "mini-clip"))
