"""Stable Diffusion 1.5 with random weights: its classes and configuration in its real size, or narrow for a trial."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import NamedTuple

import torch
from diffusers import AutoencoderKL, PNDMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from cloakbench.models import registry
from cloakbench.models.loader import BaseModel
from cloakbench.models.mini import tokenizer

TOKENS = 77


class Size(NamedTuple):
    """What is smaller in the narrow model."""

    latent: int
    unet: tuple[int, ...]
    vae: tuple[int, ...]
    vae_groups: int
    layers: int
    text: int
    text_layers: int
    vocabulary: int


REAL = Size(64, (320, 640, 1280, 1280), (128, 256, 512, 512), 32, 2, 768, 12, 49408)
NARROW = Size(16, (32, 32, 32, 32), (8, 8, 8, 8), 8, 1, 48, 2, 1000)


def build(size: Size, device: torch.device, dtype: torch.dtype) -> BaseModel:
    """Returns the model as `loader.load` would: frozen, in evaluation mode; weights drawn from the global generator."""
    words = _tokenizer(size.vocabulary)
    with device:  # weights are drawn where they stay: minutes faster than on the CPU
        parts = (_vae(size), _unet(size), _text_encoder(size, len(words)))
    for part in parts:
        part.to(device, dtype).eval().requires_grad_(False)
    noise = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "set_alpha_to_one": False}
    scheduler = PNDMScheduler(**noise, skip_prk_steps=True, steps_offset=1)
    return BaseModel("random-sd15", "", *parts, words, scheduler, device, dtype, registry.find("sd15"))


def _vae(size: Size) -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4,
        block_out_channels=size.vae,
        layers_per_block=size.layers,
        norm_num_groups=size.vae_groups,
        latent_channels=4,
        sample_size=size.latent * 8,
        force_upcast=False,
    )


def _unet(size: Size) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=size.latent,
        in_channels=4,
        out_channels=4,
        down_block_types=(*["CrossAttnDownBlock2D"] * 3, "DownBlock2D"),
        up_block_types=("UpBlock2D", *["CrossAttnUpBlock2D"] * 3),
        block_out_channels=size.unet,
        layers_per_block=size.layers,
        cross_attention_dim=size.text,
        attention_head_dim=8,
        norm_num_groups=32,
        flip_sin_to_cos=True,
        freq_shift=0,
    )


def _text_encoder(size: Size, vocabulary: int) -> CLIPTextModel:
    config = CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=size.text,
        intermediate_size=4 * size.text,
        num_hidden_layers=size.text_layers,
        num_attention_heads=12,
        hidden_act="quick_gelu",
        max_position_embeddings=TOKENS,
        projection_dim=size.text,
        bos_token_id=0,
        eos_token_id=2,
        pad_token_id=1,
    )
    return CLIPTextModel(config)


def _tokenizer(vocabulary: int) -> CLIPTokenizer:
    """Returns the project's tokenizer, filled up to as many tokens as the real one has: tables get their real size."""
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.write(Path(folder), ["painting", "style", "sks"])
        learned: dict[str, int] = json.loads((Path(folder) / "vocab.json").read_text())
        merges = []
        for line in (Path(folder) / "merges.txt").read_text().splitlines()[1:]:
            merges.append(tuple(line.split()))
    filled = learned | {f"<unused-{n}>": n for n in range(len(learned), vocabulary)}
    return CLIPTokenizer(vocab=filled, merges=merges, model_max_length=TOKENS)
