"""Puts autoencoders together from the halves that stages have trained."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKL

from cloakbench.models.mini import architecture
from cloakbench.models.mini.train import stages
from cloakbench.models.mini.train.decoder import LatentDecoder
from cloakbench.models.mini.train.distil import LatentEncoder

LOG_VARIANCE = -10.0
"""Of every posterior: as Stable Diffusion's, it is next to a point, for the teacher has none."""


def newest(folder: Path, *names: str) -> Path | None:
    """Returns the first of these stages' weights that is there."""
    return next((path for name in names if (path := folder / f"{name}.safetensors").exists()), None)


def encoders(suffix: str) -> tuple[str, str]:
    """Returns the stages of an encoder, the latest first; `suffix` is empty or that of a family (`-xl`)."""
    return f"encoder{suffix}-whole", f"encoder{suffix}"


def decoders(suffix: str) -> tuple[str, str]:
    """Returns the stages of a decoder, the latest first."""
    return f"decoder{suffix}-whole", f"decoder{suffix}"


def autoencoder(folder: Path, suffix: str = "", decoder: str | None = None) -> AutoencoderKL:
    """Returns the autoencoder as far as `folder` has its halves; `decoder` names another one than the encoder's.

    Halves that no stage has trained yet stay at random. Raises `FileNotFoundError` where no encoder is there.
    """
    vae = architecture.vae(architecture.SDXL_SCALE if suffix == "-xl" else architecture.SD_SCALE)
    encoder_path = newest(folder, *encoders(suffix))
    if encoder_path is None:
        raise FileNotFoundError(f"expected weights of an encoder in {folder}, got none")
    stages.read(encoder_path, LatentEncoder(vae))
    decoder_path = newest(folder, *([decoder] if decoder else decoders(suffix)))
    if decoder_path is not None:
        stages.read(decoder_path, LatentDecoder(vae))
    with torch.no_grad():
        vae.quant_conv.weight[4:] = 0
        vae.quant_conv.bias[4:] = LOG_VARIANCE
    return vae.eval().requires_grad_(False)
