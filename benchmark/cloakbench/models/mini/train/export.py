"""Writes trained models in the layouts that their libraries load, in half precision."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    DDPMPipeline,
    DiffusionPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
)
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from cloakbench.datasets.procedural import styles
from cloakbench.models.mini import architecture, tokenizer
from cloakbench.models.mini.architecture import MINI_A, MINI_B, MINI_XL, Base
from cloakbench.models.mini.perceptual import MiniLPIPS
from cloakbench.models.mini.train import assemble, stages
from cloakbench.models.mini.train import judge as judge_training
from cloakbench.models.mini.train.data import Pictures
from cloakbench.models.mini.train.denoiser import Model, ModelXL

PROJECTED = 8


def _folder(pipe: DiffusionPipeline, folder: Path, words: Path, tokenizers: Sequence[str]) -> None:
    """Writes a pipeline in half precision, with the files that slow tokenizers are read from."""
    pipe.to(dtype=torch.float16)
    shutil.rmtree(folder, ignore_errors=True)
    pipe.save_pretrained(folder, safe_serialization=True)
    for part, name in product(tokenizers, ("vocab.json", "merges.txt")):
        shutil.copy(words / name, folder / part / name)


def base(which: Base, model: Model, vae: AutoencoderKL, words: Path, weights: Path) -> None:
    """Writes a folder that `StableDiffusionPipeline.from_pretrained` loads."""
    pipe = StableDiffusionPipeline(
        vae=vae,
        text_encoder=model.text_encoder,
        tokenizer=tokenizer.load(words),
        unet=model.unet,
        scheduler=architecture.scheduler(which),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    _folder(pipe, weights / which.name, words, ["tokenizer"])


def base_xl(which: Base, model: ModelXL, vae: AutoencoderKL, words: Path, weights: Path) -> None:
    """Writes a folder that `StableDiffusionXLPipeline.from_pretrained` loads."""
    pipe = StableDiffusionXLPipeline(
        vae=vae,
        text_encoder=model.text_encoder,
        text_encoder_2=model.text_encoder_2,
        tokenizer=tokenizer.load(words),
        tokenizer_2=tokenizer.load(words),
        unet=model.unet,
        scheduler=architecture.scheduler(which),
        add_watermarker=False,
        force_zeros_for_empty_prompt=False,  # it learns empty captions, not zeros
    )
    _folder(pipe, weights / which.name, words, ["tokenizer", "tokenizer_2"])


def everything(folder: Path, words: Path, weights: Path) -> list[str]:
    """Writes every base model whose encoder, decoder and denoiser are in `folder`; returns their names."""
    written, vocabulary = [], len(tokenizer.load(words))
    for which, suffix, decoder in ((MINI_A, "", None), (MINI_B, "", "decoder-b"), (MINI_XL, "-xl", None)):
        path = folder / f"{which.name}.safetensors"
        if not path.exists():
            continue
        vae = assemble.autoencoder(folder, suffix, decoder)
        if which is MINI_XL:
            xl = ModelXL(which, vocabulary)
            stages.read(path, xl)
            base_xl(which, xl, vae, words, weights)
        else:
            model = Model(which, vocabulary)
            stages.read(path, model)
            base(which, model, vae, words, weights)
        written.append(which.name)
    return written


def autoencoder(model: AutoencoderTiny, folder: Path) -> None:
    """Writes a folder that `AutoencoderTiny.from_pretrained` loads."""
    shutil.rmtree(folder, ignore_errors=True)
    model.half().save_pretrained(folder, safe_serialization=True)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    del config["block_out_channels"]  # the class writes it down and then warns that it does not know it
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def purifier(folder: Path, weights: Path) -> None:
    """Writes the denoiser of pixels, where `folder` has it, as a folder that `DDPMPipeline.from_pretrained` loads."""
    path = folder / "purifier.safetensors"
    if not path.exists():
        return
    unet = architecture.purifier()
    stages.read(path, unet)
    pipe = DDPMPipeline(unet=unet.half(), scheduler=architecture.purifier_scheduler())
    shutil.rmtree(weights / "mini-purifier", ignore_errors=True)
    pipe.save_pretrained(weights / "mini-purifier", safe_serialization=True)


def distance(model: MiniLPIPS, weights: Path) -> None:
    """Writes mini-lpips."""
    weights.mkdir(parents=True, exist_ok=True)
    save_file(stages.in_half_precision(model), weights / "mini-lpips.safetensors")


@torch.no_grad()
def judge(model: nn.Module, pictures: Pictures, words: Path, weights: Path) -> None:
    """Writes the judge with its config, tokenizer, style names, and the fixed projection for Frechet distances."""
    folder = weights / "mini-clip"
    folder.mkdir(parents=True, exist_ok=True)
    rows = np.linspace(0, len(pictures.style) - 1, 1024).astype(np.intp)
    parts = []
    for chunk in np.array_split(rows, 32):
        parts.append(F.normalize(model.encode_image(pictures.batch(chunk)).float(), dim=-1))  # type: ignore[operator]
    features = torch.cat(parts)
    _, _, axes = torch.linalg.svd(features - features.mean(0), full_matrices=False)
    state = stages.in_half_precision(model)
    state.pop("attn_mask", None)
    state["projection"] = axes[:PROJECTED].T.contiguous()
    save_file(state, folder / "open_clip_model.safetensors")
    judge_training.write_config(folder, len(tokenizer.load(words)))
    shutil.copy(words / "bpe.txt.gz", folder / "bpe.txt.gz")
    (folder / "styles.json").write_text(json.dumps(styles.learnable_names()) + "\n", encoding="utf-8")
