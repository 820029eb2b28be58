"""Writes trained models in the layouts that their libraries load, in half precision."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, AutoencoderTiny, StableDiffusionPipeline
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from cloakbench.datasets.procedural import styles
from cloakbench.models.mini import architecture, tokenizer
from cloakbench.models.mini.architecture import Base
from cloakbench.models.mini.perceptual import MiniLPIPS
from cloakbench.models.mini.train import judge as judge_training
from cloakbench.models.mini.train.data import Pictures
from cloakbench.models.mini.train.denoiser import Model

PROJECTED = 8


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
    pipe.to(dtype=torch.float16)
    folder = weights / which.name
    shutil.rmtree(folder, ignore_errors=True)
    pipe.save_pretrained(folder, safe_serialization=True)
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(words / name, folder / "tokenizer" / name)


def autoencoder(model: AutoencoderTiny, folder: Path) -> None:
    """Writes a folder that `AutoencoderTiny.from_pretrained` loads."""
    shutil.rmtree(folder, ignore_errors=True)
    model.half().save_pretrained(folder, safe_serialization=True)
    config = json.loads((folder / "config.json").read_text())
    del config["block_out_channels"]  # the class writes it down and then warns that it does not know it
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def distance(model: MiniLPIPS, weights: Path) -> None:
    """Writes mini-lpips."""
    weights.mkdir(parents=True, exist_ok=True)
    save_file({n: w.half().contiguous() for n, w in model.state_dict().items()}, weights / "mini-lpips.safetensors")


@torch.no_grad()
def judge(model: nn.Module, pictures: Pictures, words: Path, weights: Path) -> None:
    """Writes the judge with its config, tokenizer, style names, and the fixed projection for Frechet distances."""
    folder = weights / "mini-clip"
    folder.mkdir(parents=True, exist_ok=True)
    rows = np.linspace(0, len(pictures.style) - 1, 1024).astype(np.intp)
    encode = model.encode_image
    features = torch.cat([F.normalize(encode(pictures.batch(r)).float(), dim=-1) for r in np.array_split(rows, 32)])  # type: ignore[operator]
    _, _, axes = torch.linalg.svd(features - features.mean(0), full_matrices=False)
    state = {n: w for n, w in model.state_dict().items() if n != "attn_mask"}
    state = {n: (w.half() if w.is_floating_point() else w).contiguous() for n, w in state.items()}
    state["projection"] = axes[:PROJECTED].T.contiguous()
    save_file(state, folder / "open_clip_model.safetensors")
    judge_training.write_config(folder, len(tokenizer.load(words)))
    shutil.copy(words / "bpe.txt.gz", folder / "bpe.txt.gz")
    (folder / "styles.json").write_text(json.dumps([s.name for s in styles.STYLES]) + "\n")
