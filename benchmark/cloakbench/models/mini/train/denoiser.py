"""Training of a base model: text encoder and denoiser together, on the teacher's latents of pictures drawn anew."""

from __future__ import annotations

import numpy as np
import torch
from diffusers.models.attention_processor import AttnProcessor
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import CLIPTokenizer

from cloakbench.datasets.procedural import scenes, styles
from cloakbench.models.mini import architecture
from cloakbench.models.mini.architecture import Base
from cloakbench.models.mini.train.loop import Recipe, Run, rows, train
from cloakbench.models.mini.train.pool import Pool

RECIPES = {
    "mini-a": Recipe(steps=40000, batch=48, lr=1e-3, muon_lr=4e-3, seed=21, decay_share=0.3, average=0.998),
    "mini-b": Recipe(steps=40000, batch=48, lr=1e-3, muon_lr=4e-3, seed=22, decay_share=0.3, average=0.998),
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
    """Text encoder and denoiser as one module for the training loop."""

    def __init__(self, base: Base, vocabulary: int) -> None:
        super().__init__()
        self.text_encoder = architecture.text_encoder(base, vocabulary)
        self.unet = architecture.unet(base)


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


def train_base(base: Base, model: Model, tokenizer: CLIPTokenizer, pool: Pool, run: Run, recipe: Recipe) -> nn.Module:
    """Returns the trained text encoder and denoiser of `base`."""
    # plain matrix products: the fused attention's backward pass is slow on CPUs
    model.unet.set_attn_processor(AttnProcessor())
    schedule = architecture.scheduler(base)
    snr = schedule.alphas_cumprod / (1 - schedule.alphas_cumprod)
    v = base.prediction == "v_prediction"
    weights = snr.clamp(max=SNR_CAP) / (snr + 1 if v else snr)

    def loss(step: int) -> Tensor:
        if step % 50 == 0 or not pool.images:
            pool.refresh(4)
        rng = np.random.default_rng([recipe.seed, step, 2])
        generator = torch.Generator().manual_seed(recipe.seed * 1_000_003 + step)
        chosen = rows(recipe, step, len(pool.latents))
        latents = torch.from_numpy(pool.latents[chosen]).float()
        noise = torch.randn(latents.shape, generator=generator)
        # one time from each equal part of the schedule: less variance than independent draws
        times = ((torch.arange(len(chosen)) + torch.rand(len(chosen), generator=generator)) * (1000 / len(chosen))).long()
        noisy = schedule.add_noise(latents, noise, times)
        target = schedule.get_velocity(latents, noise, times) if v else noise
        with torch.autocast("cpu", torch.bfloat16):
            context = model.text_encoder(tokens(tokenizer, captions(pool.labels[:, chosen], rng))).last_hidden_state
            predicted = model.unet(noisy, times, encoder_hidden_states=context).sample
        error = (predicted.float() - target).square().mean((1, 2, 3))
        return (error * weights[times]).sum() / weights[times].sum()

    return train(model, recipe, loss, run)
