"""Training of a base model: text encoder and denoiser together, on cached latents of the training styles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPTokenizer

from cloakbench.datasets.procedural import scenes, styles
from cloakbench.models.mini import architecture
from cloakbench.models.mini.architecture import Base
from cloakbench.models.mini.train.data import Pictures
from cloakbench.models.mini.train.loop import Recipe, train

RECIPES = {
    "mini-a": Recipe(steps=1500, batch=32, lr=1e-3, muon_lr=4e-3, seed=21, decay_share=0.6, average=0.998),
    "mini-b": Recipe(steps=1500, batch=32, lr=1e-3, muon_lr=4e-3, seed=22, decay_share=0.6, average=0.998),
}
EMPTY_SHARE = 0.1
_TEMPLATES = ("a painting of a {subject} in the style of {style}",) * 4 + (
    "{subject}, {style} style",
    "a painting in the style of {style}",
    "a painting of a {subject}",
)


@torch.no_grad()
def encode_all(vae: AutoencoderKL, pictures: Pictures, path: Path) -> tuple[Tensor, Tensor]:
    """Returns posterior means and standard deviations of all pictures, `[n, 4, 16, 16]` each, cached at `path`."""
    if not path.exists():
        parts = []
        for rows in np.array_split(np.arange(len(pictures.style)), max(1, len(pictures.style) // 64)):
            with torch.autocast("cpu", torch.bfloat16):
                posterior = vae.encode(pictures.batch(rows).contiguous(memory_format=torch.channels_last)).latent_dist
            parts.append(torch.stack([posterior.mean.float(), posterior.std.float()]))
        torch.save(torch.cat(parts, 1), path)
    mean, deviation = torch.load(path, weights_only=True)
    return mean, deviation


class Model(nn.Module):
    """Text encoder and denoiser as one module for the training loop."""

    def __init__(self, base: Base, vocabulary: int) -> None:
        super().__init__()
        self.text_encoder = architecture.text_encoder(base, vocabulary)
        self.unet = architecture.unet(base)


def captions(pictures: Pictures, rows: NDArray[np.intp], rng: np.random.Generator) -> list[str]:
    """Returns a caption for each row, one in ten of them empty (for classifier-free guidance)."""
    subjects = list(scenes.SUBJECTS)
    texts = []
    for row in rows:
        template = _TEMPLATES[rng.integers(len(_TEMPLATES))]
        style, subject = styles.STYLES[pictures.style[row]].name, subjects[pictures.subject[row]]
        texts.append("" if rng.random() < EMPTY_SHARE else template.format(subject=subject, style=style))
    return texts


def tokens(tokenizer: CLIPTokenizer, texts: list[str]) -> Tensor:
    """Returns token ids `[b, 32]`, padded."""
    return torch.tensor(tokenizer(texts, padding="max_length", truncation=True).input_ids)


def train_base(base: Base, vae: AutoencoderKL, tokenizer: CLIPTokenizer, pictures: Pictures, work: Path) -> Model:
    """Returns the trained text encoder and denoiser of `base`."""
    recipe = RECIPES[base.name]
    torch.manual_seed(recipe.seed)
    model = Model(base, len(tokenizer))
    noise_schedule = architecture.scheduler(base)
    mean, deviation = encode_all(vae, pictures, work / "latents.pt")
    scale = vae.config.scaling_factor

    def loss(rows: NDArray[np.intp], step: int, generator: torch.Generator) -> Tensor:
        rng = np.random.default_rng([recipe.seed, step, 2])
        noise = torch.randn((len(rows), 4, 16, 16), generator=generator)
        drawn = torch.randn((len(rows), 4, 16, 16), generator=generator)
        latents = (mean[rows] + deviation[rows] * drawn) * scale
        times = torch.randint(0, 1000, (len(rows),), generator=generator)
        noisy = noise_schedule.add_noise(latents, noise, times)
        v = base.prediction == "v_prediction"
        target = noise_schedule.get_velocity(latents, noise, times) if v else noise
        with torch.autocast("cpu", torch.bfloat16):
            context = model.text_encoder(tokens(tokenizer, captions(pictures, rows, rng))).last_hidden_state
            predicted = model.unet(noisy, times, encoder_hidden_states=context).sample
        return F.mse_loss(predicted.float(), target)

    average = train(model, recipe, len(pictures.style), loss, work / f"{base.name}.pt")
    assert isinstance(average, Model)
    return average.eval()
