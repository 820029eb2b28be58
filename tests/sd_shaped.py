"""Pipelines with the classes and configuration keys of Stable Diffusion's: narrow, random, quickly saved."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DDPMScheduler,
    EulerDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionInpaintPipeline,
    StableDiffusionInstructPix2PixPipeline,
    StableDiffusionPipeline,
    StableDiffusionUpscalePipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from cloakbench.models.mini import tokenizer


class Shape(NamedTuple):
    """What tells the models of the family apart."""

    alias: str
    second: bool
    """Of the 2.x line: another text encoder, linear projections, heads by level."""
    prediction: str
    sample: int
    channels: int = 4

    @property
    def context(self) -> int:
        """The width of the text encoder: the one dimension that is not narrow, as it tells the models apart."""
        return 1024 if self.second else 768


SHAPES = (
    Shape("sd15", False, "epsilon", 64),
    Shape("sd15-inpaint", False, "epsilon", 64, channels=9),
    Shape("instruct-pix2pix", False, "epsilon", 32, channels=8),
    Shape("sd21-base", True, "epsilon", 64),
    Shape("sd21", True, "v_prediction", 96),
)
KINDS: dict[int, Any] = {
    4: StableDiffusionPipeline,
    8: StableDiffusionInstructPix2PixPipeline,
    9: StableDiffusionInpaintPipeline,
}
"""Pipelines by the input channels of their denoiser."""
WIDTH = 32
XL = Shape("sdxl", True, "epsilon", 128)
XL_WIDTHS = (768, 1280)
"""Of Stable Diffusion XL's two text encoders."""
TIME_WIDTH = 8
"""Of the embedding of each of the six sizes; 256 in the original."""


def write(root: Path, shapes: tuple[Shape, ...] = SHAPES) -> Path:
    """Writes a folder in diffusers layout for each shape, the upscaler and SDXL's autoencoder below `root`."""
    words = root / "words"
    tokenizer.write(words, ["painting", "style", "boat", "sks"])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for shape in shapes:
            _save(shape, words, root / shape.alias)
        _save_upscaler(words, root / "sd-x4-upscaler")
        _save_xl(words, root / XL.alias)
        _vae(Shape("", False, "epsilon", 128)).save_pretrained(root / "sdxl-vae")
    shutil.rmtree(words)
    return root


def _save(shape: Shape, words: Path, folder: Path) -> None:
    learned = _tokenizer(shape, words)
    KINDS[shape.channels](
        vae=_vae(shape),
        text_encoder=_text_encoder(shape, len(learned), shape.context),
        tokenizer=learned,
        unet=_unet(shape),
        scheduler=_scheduler(shape),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder, safe_serialization=True)
    _add_words(words, folder)
    _name_safety_checker(folder / "model_index.json")


def _add_words(words: Path, folder: Path) -> None:
    """Copies the tokenizer's two files in the form that the hub has them."""
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(words / name, folder / "tokenizer" / name)


def _save_xl(words: Path, folder: Path) -> None:
    """As Stable Diffusion XL: two text encoders, the second with a projection, and tokenizers that pad differently."""
    first, second = (_tokenizer(shape, words) for shape in (SHAPES[0], XL))
    configs = [_text_config(XL, len(first), width) for width in XL_WIDTHS]
    configs[1].projection_dim = XL_WIDTHS[1]
    StableDiffusionXLPipeline(
        vae=_vae(XL, scaling_factor=0.13025, force_upcast=True),
        text_encoder=CLIPTextModel(configs[0]),
        text_encoder_2=CLIPTextModelWithProjection(configs[1]),
        tokenizer=first,
        tokenizer_2=second,
        unet=UNet2DConditionModel(
            sample_size=XL.sample,
            in_channels=4,
            out_channels=4,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            block_out_channels=(WIDTH, WIDTH, WIDTH),
            layers_per_block=1,
            transformer_layers_per_block=(1, 1, 2),
            attention_head_dim=(2, 4, 4),
            use_linear_projection=True,
            cross_attention_dim=sum(XL_WIDTHS),
            norm_num_groups=32,
            addition_embed_type="text_time",
            addition_time_embed_dim=TIME_WIDTH,
            projection_class_embeddings_input_dim=XL_WIDTHS[1] + 6 * TIME_WIDTH,
        ),
        scheduler=EulerDiscreteScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            steps_offset=1,
            timestep_spacing="leading",
        ),
        force_zeros_for_empty_prompt=True,
        add_watermarker=False,
    ).save_pretrained(folder, safe_serialization=True)
    _add_words(words, folder)


def _save_upscaler(words: Path, folder: Path) -> None:
    """As the x4 upscaler: an image of three channels beside the latents, told how noisy it is; latents of a quarter."""
    shape = Shape("sd-x4-upscaler", True, "v_prediction", 128)
    learned = _tokenizer(shape, words)
    StableDiffusionUpscalePipeline(
        vae=AutoencoderKL(
            down_block_types=["DownEncoderBlock2D"] * 3,
            up_block_types=["UpDecoderBlock2D"] * 3,
            block_out_channels=(8, 8, 8),
            layers_per_block=1,
            norm_num_groups=8,
            latent_channels=4,
            scaling_factor=0.08333,
            mid_block_add_attention=False,  # the original has some; over 512 x 512 latents it takes a CPU minutes
        ),
        text_encoder=_text_encoder(shape, len(learned), WIDTH),
        tokenizer=learned,
        unet=UNet2DConditionModel(
            sample_size=128,
            in_channels=7,
            out_channels=4,
            down_block_types=("DownBlock2D", *["CrossAttnDownBlock2D"] * 3),
            up_block_types=(*["CrossAttnUpBlock2D"] * 3, "UpBlock2D"),
            only_cross_attention=[True, True, True, False],
            block_out_channels=(8, 8, 8, 16),
            layers_per_block=1,
            norm_num_groups=8,
            attention_head_dim=2,
            use_linear_projection=True,
            cross_attention_dim=WIDTH,
            num_class_embeds=1000,
        ),
        low_res_scheduler=DDPMScheduler(beta_start=0.0001, beta_end=0.02, beta_schedule="scaled_linear"),
        scheduler=DDIMScheduler(prediction_type="v_prediction", clip_sample=False),
    ).save_pretrained(folder, safe_serialization=True)
    _add_words(words, folder)


def _name_safety_checker(path: Path) -> None:
    """Names parts that are not there, as the hub's index does; they are neither downloaded nor loaded."""
    index = json.loads(path.read_text())
    index["safety_checker"] = ["stable_diffusion", "StableDiffusionSafetyChecker"]
    index["feature_extractor"] = ["transformers", "CLIPImageProcessor"]
    path.write_text(json.dumps(index))


def _tokenizer(shape: Shape, words: Path) -> CLIPTokenizer:
    vocabulary = json.loads((words / "vocab.json").read_text())
    merges = [tuple(line.split()) for line in (words / "merges.txt").read_text().splitlines()[1:]]
    padding = {"pad_token": "!"} if shape.second else {}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=77, **padding)


def _text_encoder(shape: Shape, vocabulary: int, width: int) -> CLIPTextModel:
    return CLIPTextModel(_text_config(shape, vocabulary, width))


def _text_config(shape: Shape, vocabulary: int, width: int) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        hidden_act="gelu" if shape.second else "quick_gelu",
        max_position_embeddings=77,
        projection_dim=width // 2 if shape.second else width,
        bos_token_id=0,
        eos_token_id=2,  # wrong in the original files too
        pad_token_id=1,
    )


def _unet(shape: Shape) -> UNet2DConditionModel:
    attention: dict[str, Any] = {"attention_head_dim": 8}
    if shape.second:
        attention = {"attention_head_dim": [2, 4, 4, 4], "use_linear_projection": True}
        attention["upcast_attention"] = shape.prediction == "v_prediction"
    return UNet2DConditionModel(
        sample_size=shape.sample,
        in_channels=shape.channels,
        out_channels=4,
        down_block_types=(*["CrossAttnDownBlock2D"] * 3, "DownBlock2D"),
        up_block_types=("UpBlock2D", *["CrossAttnUpBlock2D"] * 3),
        block_out_channels=(WIDTH, WIDTH, WIDTH, WIDTH),
        layers_per_block=1,
        cross_attention_dim=shape.context,
        norm_num_groups=32,
        flip_sin_to_cos=True,
        freq_shift=0,
        **attention,
    )


def _vae(shape: Shape, **changes: Any) -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4,
        block_out_channels=(8, 8, 8, 8),
        layers_per_block=1,
        norm_num_groups=8,
        latent_channels=4,
        sample_size=shape.sample * 8,
        **{"force_upcast": False, **changes},
    )


def _scheduler(shape: Shape) -> Any:
    noise = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "set_alpha_to_one": False}
    if shape.second:
        return DDIMScheduler(**noise, clip_sample=False, steps_offset=1, prediction_type=shape.prediction)
    return PNDMScheduler(**noise, skip_prk_steps=True, steps_offset=1)
