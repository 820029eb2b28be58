"""Training of the judge, mini-clip: an open_clip model trained on every style, on other pictures than any suite's."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import open_clip
import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn
from torch.nn import functional as F

from cloakbench.datasets.procedural import scenes, styles
from cloakbench.models.mini.architecture import TOKENS
from cloakbench.models.mini.train.data import Pictures
from cloakbench.models.mini.train.loop import Recipe, rows, train
from cloakbench.models.mini.train.run import Run

RECIPE = Recipe(steps=900, batch=32, lr=1e-3, muon_lr=3e-3, seed=31, decay_share=0.6, average=0.995)
RECONSTRUCTED = 2400
"""Number of pictures that are trained on after the autoencoder too, since generations come through it."""


def config(vocabulary: int) -> dict[str, object]:
    """Returns the open_clip model config: a small ResNet and a one-layer text transformer."""
    return {
        "embed_dim": 64,
        "vision_cfg": {"image_size": 128, "layers": [1, 1, 1, 1], "width": 16, "head_width": 32},
        "text_cfg": {"context_length": TOKENS, "vocab_size": vocabulary, "width": 64, "heads": 2, "layers": 1},
    }


@torch.no_grad()
def with_reconstructions(vae: AutoencoderKL, pictures: Pictures, path: Path) -> Pictures:
    """Returns the pictures and, after them, a sample of them encoded and decoded."""
    rows = np.linspace(0, len(pictures.style) - 1, RECONSTRUCTED).astype(np.intp)
    if not path.exists():
        parts = []
        for part in np.array_split(rows, RECONSTRUCTED // 30):
            x = pictures.batch(part).contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16):
                y = vae.decode(vae.encode(x).latent_dist.mean).sample
            parts.append(((y.float().clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy())
        np.save(path, np.concatenate(parts))
    images = np.concatenate([pictures.images, np.load(path)])
    again = np.concatenate([np.arange(len(pictures.style)), rows])
    return Pictures(images, pictures.style[again], pictures.subject[again])


def _texts() -> tuple[list[str], list[str], list[str]]:
    """Returns the captions of every pair (styles outermost), of styles alone and of subjects alone."""
    pairs, of_style = [], []
    of_subject = [f"a painting of a {subject}" for subject in scenes.SUBJECTS]
    for style in styles.learnable_names():
        of_style.append(f"a painting in the style of {style}")
        for subject in of_subject:
            pairs.append(f"{subject} in the style of {style}")
    return pairs, of_style, of_subject


def _augmented(x: Tensor, step: int) -> Tensor:
    """Returns the batch with a flip, and one of: nothing, noise, blur, so that the judge is not a noise detector."""
    rng = np.random.default_rng([RECIPE.seed, step, 3])
    x = x.flip(-1) if rng.random() < 0.5 else x
    choice = rng.integers(4)
    if choice == 0:
        return x + rng.uniform(0, 0.15) * torch.randn(x.shape, generator=torch.Generator().manual_seed(step))
    if choice == 1:
        return F.interpolate(F.avg_pool2d(x, 2), scale_factor=2, mode="bilinear")
    return x


def train_judge(pictures: Pictures, tokenizer_folder: Path, vocabulary: int, run: Run) -> nn.Module:
    """Returns the trained open_clip model: pairs, styles alone and subjects alone are told apart (a softmax each)."""
    torch.manual_seed(RECIPE.seed)
    model = open_clip.CLIP(**config(vocabulary))
    tokenizer = open_clip.SimpleTokenizer(bpe_path=str(tokenizer_folder / "bpe.txt.gz"), context_length=TOKENS)
    pairs, style_texts, subject_texts = map(tokenizer, _texts())
    style, subject = torch.from_numpy(pictures.style), torch.from_numpy(pictures.subject)

    def loss(step: int) -> Tensor:
        chosen = rows(RECIPE, step, len(style))
        x = _augmented(pictures.batch(chosen), step).contiguous(memory_format=torch.channels_last)
        drawn, which = torch.unique(style[chosen] * len(scenes.SUBJECTS) + subject[chosen], return_inverse=True)
        texts = torch.cat([pairs[drawn], style_texts, subject_texts])
        with run.casting():
            image = F.normalize(model.encode_image(x).float(), dim=-1)
            text = F.normalize(model.encode_text(texts).float(), dim=-1)
        logits = image @ text.T * model.logit_scale.exp().clamp(max=100)
        of_pair, of_style, of_subject = logits.split([len(drawn), len(style_texts), len(subject_texts)], 1)
        apart = F.cross_entropy(of_style, style[chosen]) + F.cross_entropy(of_subject, subject[chosen])
        return apart + F.cross_entropy(of_pair, which)

    model.to(memory_format=torch.channels_last)
    average = train(model, RECIPE, loss, run)
    for mean, buffer in zip(average.buffers(), model.buffers(), strict=True):
        mean.copy_(buffer)
    return average.eval()


def write_config(folder: Path, vocabulary: int) -> None:
    """Writes the open_clip model config next to the weights."""
    (folder / "open_clip_config.json").write_text(
        json.dumps(config(vocabulary), indent=2, sort_keys=True) + "\n", encoding="utf-8"
    )
