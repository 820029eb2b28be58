"""The embedded models' shapes: genuine diffusers and transformers classes, small enough for a CPU."""

from __future__ import annotations

from dataclasses import dataclass

from diffusers import AutoencoderKL, AutoencoderTiny, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

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


MINI_A = Base("mini-a", "v_prediction", (64, 128, 192), 128, 2)
MINI_B = Base("mini-b", "v_prediction", (64, 128, 160), 96, 3)


def vae() -> AutoencoderKL:
    """Returns an untrained autoencoder: 8 times smaller sides, 4 latent channels, as Stable Diffusion's."""
    return AutoencoderKL(
        block_out_channels=(24, 48, 96, 96),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=128,
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


def unet(base: Base) -> UNet2DConditionModel:
    """Returns an untrained denoiser for 16 x 16 latents, with cross-attention at 8 x 8 and 4 x 4."""
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        block_out_channels=base.channels,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        attention_head_dim=4,
        norm_num_groups=16,
        cross_attention_dim=base.text_width,
    )


def text_encoder(base: Base, vocabulary: int) -> CLIPTextModel:
    """Returns an untrained CLIP text encoder for `vocabulary` tokens; the last two are begin and end of text."""
    return CLIPTextModel(
        CLIPTextConfig(
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
    )


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
