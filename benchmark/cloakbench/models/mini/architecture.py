"""The embedded models' shapes: genuine diffusers and transformers classes, small enough for a CPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    DDIMScheduler,
    DDPMScheduler,
    UNet2DConditionModel,
    UNet2DModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

TOKENS = 32
"""Length of a caption in tokens, padding included."""


@dataclass(frozen=True, slots=True)
class Base:
    """What tells one embedded base model from another."""

    name: str
    prediction: str
    channels: tuple[int, int, int]
    text_width: int
    text_layers: int


SD_SCALE, SDXL_SCALE = 0.18215, 0.13025
"""Scaling factors of the two latent families, so that their latents have unit deviation."""
TIME_WIDTH = 16
"""Width of the embedding of each of the six numbers that tell a Stable Diffusion XL its picture's size and cut."""
MINI_A = Base("mini-a", "v_prediction", (64, 128, 192), 128, 2)
MINI_B = Base("mini-b", "v_prediction", (64, 128, 160), 96, 3)
MINI_XL = Base("mini-xl", "v_prediction", (48, 96, 128), 96, 2)


def vae(scale: float = SD_SCALE) -> AutoencoderKL:
    """Returns an untrained autoencoder: 8 times smaller sides, 4 latent channels, as Stable Diffusion's."""
    return AutoencoderKL(
        block_out_channels=(24, 48, 96, 96),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=128,
        scaling_factor=scale,
    )


def independent_vae() -> AutoencoderTiny:
    """Returns an untrained autoencoder of another family: 4 times smaller sides, 3 channels, no norms, no sampling."""
    widths = (32, 32, 32)
    return AutoencoderTiny(
        encoder_block_out_channels=widths,
        decoder_block_out_channels=widths,
        num_encoder_blocks=(1, 3, 3),
        num_decoder_blocks=(3, 3, 1),
        latent_channels=3,
        act_fn="relu",
    )


def unet(base: Base, **extra: Any) -> UNet2DConditionModel:
    """Returns an untrained denoiser for 16 x 16 latents, with cross-attention at 8 x 8 and 4 x 4."""
    shape = {
        "sample_size": 16,
        "in_channels": 4,
        "out_channels": 4,
        "block_out_channels": base.channels,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "layers_per_block": 1,
        "attention_head_dim": 4,
        "norm_num_groups": 16,
        "cross_attention_dim": base.text_width,
    }
    return UNet2DConditionModel(**{**shape, **extra})


def unet_xl(base: Base) -> UNet2DConditionModel:
    """Returns an untrained denoiser of Stable Diffusion XL's form: two contexts, a pooled one, and six sizes."""
    return unet(
        base,
        cross_attention_dim=2 * base.text_width,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=TIME_WIDTH,
        projection_class_embeddings_input_dim=base.text_width + 6 * TIME_WIDTH,
    )


def purifier() -> UNet2DModel:
    """Returns an untrained denoiser of 128 x 128 pixels, without captions."""
    return UNet2DModel(
        sample_size=128,
        in_channels=3,
        out_channels=3,
        block_out_channels=(24, 48, 72, 96),
        down_block_types=("DownBlock2D",) * 4,
        up_block_types=("UpBlock2D",) * 4,
        layers_per_block=1,
        norm_num_groups=8,
        add_attention=False,
    )


def purifier_scheduler() -> DDPMScheduler:
    """Returns the noise schedule of Ho et al. 2020, in which the purifier's times are counted."""
    return DDPMScheduler(beta_start=0.0001, beta_end=0.02, beta_schedule="linear", clip_sample=True)


def _text_config(base: Base, vocabulary: int) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=base.text_width,
        intermediate_size=2 * base.text_width,
        num_hidden_layers=base.text_layers,
        num_attention_heads=4,
        max_position_embeddings=TOKENS,
        projection_dim=base.text_width,
        bos_token_id=vocabulary - 2,
        eos_token_id=vocabulary - 1,
        pad_token_id=vocabulary - 1,
    )


def text_encoder(base: Base, vocabulary: int) -> CLIPTextModel:
    """Returns an untrained CLIP text encoder for `vocabulary` tokens; the last two are begin and end of text."""
    return CLIPTextModel(_text_config(base, vocabulary))


def second_text_encoder(base: Base, vocabulary: int) -> CLIPTextModelWithProjection:
    """Returns the second, pooled text encoder of Stable Diffusion XL's form, untrained."""
    return CLIPTextModelWithProjection(_text_config(base, vocabulary))


def scheduler(base: Base) -> DDIMScheduler:
    """Returns Stable Diffusion's noise schedule with the base's prediction type."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type=base.prediction,
    )
