"""Training of a base model: text encoders and denoiser together, on the teacher's latents of pictures drawn anew."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler
from diffusers.models.attention_processor import AttnProcessor
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import CLIPTokenizer

from cloakbench.datasets.procedural import scenes, styles
from cloakbench.models.mini import architecture
from cloakbench.models.mini.architecture import Base
from cloakbench.models.mini.train.loop import Recipe, generator, rows, train
from cloakbench.models.mini.train.pool import Pool
from cloakbench.models.mini.train.run import Run

RECIPES = {
    "mini-a": Recipe(steps=8_000, batch=48, lr=1e-3, muon_lr=4e-3, seed=21, decay_share=0.4),
    "mini-b": Recipe(steps=6_000, batch=48, lr=1e-3, muon_lr=4e-3, seed=22, decay_share=0.4),
    "mini-xl": Recipe(steps=8_000, batch=48, lr=1e-3, muon_lr=4e-3, seed=23, decay_share=0.4),
}
EMPTY_SHARE = 0.1
SNR_CAP = 5.0
"""Min-SNR weighting (Hang et al. 2023, arXiv 2303.09556): steps of little noise count no more than this."""
_TEMPLATES = ("a painting of a {subject} in the style of {style}",) * 6 + (
    "{subject}, {style} style",
    "a painting in the style of {style}",
    "a painting of a {subject}",
)


class Model(nn.Module):
    """Text encoder and denoiser of Stable Diffusion's form, as one module for the training loop."""

    def __init__(self, base: Base, vocabulary: int) -> None:
        super().__init__()
        self.text_encoder = architecture.text_encoder(base, vocabulary)
        self.unet = architecture.unet(base)

    def forward(self, noisy: Tensor, times: Tensor, ids: Tensor) -> Tensor:
        """Returns what the denoiser predicts of noisy latents `[b, 4, 16, 16]` for token ids `[b, 32]`."""
        context = self.text_encoder(ids).last_hidden_state
        return torch.as_tensor(self.unet(noisy, times, encoder_hidden_states=context).sample)


class ModelXL(nn.Module):
    """Two text encoders and denoiser of Stable Diffusion XL's form."""

    def __init__(self, base: Base, vocabulary: int) -> None:
        super().__init__()
        self.text_encoder = architecture.text_encoder(base, vocabulary)
        self.text_encoder_2 = architecture.second_text_encoder(base, vocabulary)
        self.unet = architecture.unet_xl(base)

    def forward(self, noisy: Tensor, times: Tensor, ids: Tensor) -> Tensor:
        """Returns the prediction, from the last but one layer of both encoders and the second's pooled output."""
        first = self.text_encoder(ids, output_hidden_states=True)
        second = self.text_encoder_2(ids, output_hidden_states=True)
        context = torch.cat([first.hidden_states[-2], second.hidden_states[-2]], -1)
        whole = torch.tensor([128.0, 128, 0, 0, 128, 128], device=noisy.device).expand(len(noisy), 6)
        extra = {"text_embeds": second.text_embeds, "time_ids": whole}
        predicted: Any = self.unet(noisy, times, encoder_hidden_states=context, added_cond_kwargs=extra)
        return torch.as_tensor(predicted.sample)


def caption(style: int, subject: int, rng: np.random.Generator) -> str:
    """Returns a caption of a picture, one in ten of them empty (for classifier-free guidance)."""
    template = _TEMPLATES[rng.integers(len(_TEMPLATES))]
    text = template.format(subject=list(scenes.SUBJECTS)[subject], style=styles.STYLES[style].name)
    return "" if rng.random() < EMPTY_SHARE else text


def captions(labels: NDArray[np.int64], rng: np.random.Generator) -> list[str]:
    """Returns a caption for each column of `labels` (style, subject)."""
    return [caption(int(style), int(subject), rng) for style, subject in labels.T]


def tokens(tokenizer: CLIPTokenizer, texts: list[str]) -> Tensor:
    """Returns token ids `[b, 32]`, padded."""
    return torch.tensor(tokenizer(texts, padding="max_length", truncation=True).input_ids)


def spread_times(count: int, source: torch.Generator) -> Tensor:
    """Returns times `[count]`, one from each equal part of the schedule: steadier than independent draws."""
    return ((torch.arange(count) + torch.rand(count, generator=source)) * (1000 / count)).long()


def weights(schedule: DDIMScheduler, velocity: bool) -> Tensor:
    """Returns the min-SNR weight of each time `[1000]`, of an error in the noise or in the velocity."""
    snr = schedule.alphas_cumprod / (1 - schedule.alphas_cumprod)
    return torch.as_tensor(snr.clamp(max=SNR_CAP) / (snr + 1 if velocity else snr))


def train_base(
    base: Base, model: Model | ModelXL, tokenizer: CLIPTokenizer, pool: Pool, run: Run, recipe: Recipe
) -> nn.Module:
    """Returns the trained text encoders and denoiser of `base`."""
    if run.device == "cpu":  # the fused attention's backward pass is slower there than plain products
        model.unet.set_attn_processor(AttnProcessor())
    schedule = architecture.scheduler(base)
    velocity = base.prediction == "v_prediction"
    weight = weights(schedule, velocity)

    def loss(step: int) -> Tensor:
        pool.follow(step)
        source, rng = generator(recipe, step), np.random.default_rng([recipe.seed, step, 2])
        chosen = rows(recipe, step, len(pool.latents))
        latents = torch.from_numpy(pool.latents[chosen]).float()
        noise = torch.randn(latents.shape, generator=source)
        times = spread_times(len(chosen), source)
        noisy = schedule.add_noise(latents, noise, times).to(run.device)
        target = (schedule.get_velocity(latents, noise, times) if velocity else noise).to(run.device)
        ids = tokens(tokenizer, captions(pool.labels[:, chosen], rng)).to(run.device)
        with run.casting():
            predicted = model(noisy, times.to(run.device), ids)
        error = (predicted.float() - target).square().mean((1, 2, 3))
        share = weight[times].to(run.device)
        return torch.as_tensor((error * share).sum() / share.sum())

    return train(model, recipe, loss, run)
