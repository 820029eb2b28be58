"""What training and purifying keep in a GPU's memory, counted without a GPU.

    python tests/benchmarks/memory.py [--out FILE.json]

Networks of the real sizes run forward on PyTorch's device `meta`, which has shapes and no values; what autograd saves
there for the backward pass is added up, each storage once and parameters left out. Attention is counted as the fused
kernels of a GPU save it: queries, keys, values, result and one number a query. Everything is bfloat16; under autocast
normalisations save float32, so that a run takes somewhat more. Not counted: workspaces, the allocator's gaps, the
context of CUDA (some 0.5 GiB).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn
from torch.nn import functional as F

GIB = 2**30
SD15: dict[str, Any] = {"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8}
SD21: dict[str, Any] = {
    "sample_size": 64,
    "cross_attention_dim": 1024,
    "attention_head_dim": [5, 10, 20, 20],
    "use_linear_projection": True,
}
SDXL: dict[str, Any] = {
    "sample_size": 128,
    "cross_attention_dim": 2048,
    "attention_head_dim": [5, 10, 20],
    "use_linear_projection": True,
    "block_out_channels": [320, 640, 1280],
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    "transformer_layers_per_block": [1, 2, 10],
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
VAE: dict[str, Any] = {
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
}


class FusedAttention(torch.autograd.Function):
    """Attention that saves what a fused kernel saves, and computes nothing."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Returns a tensor of the result's shape."""
        result = query.new_empty((*query.shape[:-1], value.shape[-1]))
        ctx.save_for_backward(query, key, value, result, query.new_empty(query.shape[:-1], dtype=torch.float32))
        return result


def attention(query: Tensor, key: Tensor, value: Tensor, **_: Any) -> Tensor:
    """Stands in for PyTorch's function."""
    result: Tensor = FusedAttention.apply(query, key, value)
    return result


@contextmanager
def fused() -> Iterator[None]:
    """Has attention counted as fused meanwhile."""
    original = F.scaled_dot_product_attention
    F.scaled_dot_product_attention = attention  # type: ignore[assignment]
    try:
        yield
    finally:
        F.scaled_dot_product_attention = original


def saved_bytes(network: nn.Module, forward: Callable[[], object]) -> int:
    """Returns the bytes that autograd saves in a forward pass, parameters left out."""
    own = {parameter.untyped_storage()._cdata for parameter in network.parameters()}
    storages: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            storages[storage._cdata] = storage.nbytes()
        return tensor

    with fused(), torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        outputs = forward()
    del outputs
    return sum(storages.values())


def unet(config: dict[str, Any]) -> UNet2DConditionModel:
    """Returns a denoiser without values, in training mode."""
    with torch.device("meta"):
        network = UNet2DConditionModel(**config)
    nn.Module.to(network, torch.bfloat16)  # the method of diffusers warns
    return network.train()


def unet_bytes(config: dict[str, Any], batch: int, trains_all: bool, checkpointing: bool) -> int:
    """Returns what a step keeps of a denoiser's activations.

    Args:
        config: Of the denoiser.
        batch: Examples of the step.
        trains_all: Whether all weights train; else the projections of attention alone, as with LoRA.
        checkpointing: Whether activations inside of blocks are computed again.
    """
    network = unet(config)
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(trains_all or ".to_" in name)
    if checkpointing:
        network.enable_gradient_checkpointing()
    side = config["sample_size"]
    options: dict[str, Any] = {"device": "meta", "dtype": torch.bfloat16}
    latents = torch.empty((batch, 4, side, side), **options)
    context = torch.empty((batch, 77, config["cross_attention_dim"]), **options)
    conditions = {}
    if "addition_embed_type" in config:
        pooled = torch.empty((batch, 1280), **options)
        conditions = {"added_cond_kwargs": {"text_embeds": pooled, "time_ids": torch.empty((batch, 6), **options)}}
    times = torch.empty((batch,), device="meta")
    return saved_bytes(network, lambda: network(latents, times, encoder_hidden_states=context, **conditions).sample)


def vae_bytes(side: int, decodes: bool) -> int:
    """Returns what the gradient of an image of `side` pixels keeps of the autoencoder: encoder, or both halves."""
    with torch.device("meta"):
        network = AutoencoderKL(**VAE)
    nn.Module.to(network, torch.bfloat16).requires_grad_(False)
    image = torch.empty((1, 3, side, side), device="meta", dtype=torch.bfloat16).requires_grad_(True)

    def forward() -> Tensor:
        moments = network.encoder(image)
        latent: Tensor = network.quant_conv(moments)[:, :4]
        return network.decode(latent).sample if decodes else latent

    return saved_bytes(network, forward)


def parameters(network: nn.Module) -> int:
    """Returns how many weights a network has."""
    return sum(parameter.numel() for parameter in network.parameters())


def count() -> dict[str, float]:
    """Returns all figures in GiB, and weights in millions."""
    figures: dict[str, float] = {}
    for name, config in {"SD 1.5": SD15, "SD 2.1": SD21, "SDXL": SDXL}.items():
        figures[f"{name}: million weights of the denoiser"] = round(parameters(unet(config)) / 1e6, 1)
        for label, batch, trains_all in (("DreamBooth, batch 1 + 1", 2, True), ("LoRA, batch 1", 1, False)):
            for checkpointing in (False, True):
                words = ", checkpointed" if checkpointing else ""
                size = unet_bytes(config, batch, trains_all, checkpointing)
                figures[f"{name}: activations of {label}{words}"] = round(size / GIB, 2)
    for side in (512, 1024):
        figures[f"encoder, gradient of one image of {side} pixels"] = round(vae_bytes(side, False) / GIB, 2)
        figures[f"encoder and decoder, {side} pixels"] = round(vae_bytes(side, True) / GIB, 2)
    return figures


def main() -> None:
    """Prints the figures and writes them where the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="a JSON file for all figures")
    arguments = parser.parse_args()
    text = json.dumps(count(), indent=1)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
