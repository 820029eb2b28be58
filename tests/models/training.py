"""A teacher, an autoencoder and a recipe so small that a stage of the training takes a second."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL, AutoencoderTiny

from cloakbench.models.mini import architecture
from cloakbench.models.mini.train.loop import Recipe
from cloakbench.models.mini.train.run import Run

SHORT = Recipe(steps=3, batch=6, lr=1e-3, muon_lr=4e-3, seed=1, warmup=1)


def small_teacher() -> AutoencoderTiny:
    """An untrained teacher with four channels of 8 times smaller latents."""
    torch.manual_seed(3)
    widths = (8, 8, 8, 8)
    model = AutoencoderTiny(encoder_block_out_channels=widths, decoder_block_out_channels=widths)
    return model.eval().requires_grad_(False)


def small_vae(**other: object) -> AutoencoderKL:
    torch.manual_seed(4)
    return AutoencoderKL.from_config({**architecture.vae().config, "block_out_channels": (8, 8, 8, 8), **other})


def a_run(folder: Path, stage: str = "part", **other: object) -> Run:
    return Run(stage, folder, folder / "stages" / f"{stage}.safetensors", **other)


def log(run: Run) -> list[dict[str, object]]:
    return [json.loads(line) for line in run.weights.with_suffix(".jsonl").read_text().splitlines()]
