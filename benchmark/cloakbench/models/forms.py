"""The kinds of pipelines that load: which classes they consist of, and how their parts are opened."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from diffusers import (
    AutoencoderKL,
    StableDiffusionInpaintPipeline,
    StableDiffusionInstructPix2PixPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from cloakbench.errors import UserError
from cloakbench.models import hub, pretrained
from cloakbench.models.xl import XlDenoiser


class Form(NamedTuple):
    """A kind of pipeline that loads: its class, and the classes of its parts that have weights."""

    pipeline: Any
    weighted: Mapping[str, Any]


_WEIGHTED: dict[str, Any] = {"text_encoder": CLIPTextModel, "unet": UNet2DConditionModel, "vae": AutoencoderKL}
_XL_WEIGHTED = {**_WEIGHTED, "unet": XlDenoiser, "text_encoder_2": CLIPTextModelWithProjection}
FORMS = {
    "StableDiffusionPipeline": Form(StableDiffusionPipeline, _WEIGHTED),
    "StableDiffusionInpaintPipeline": Form(StableDiffusionInpaintPipeline, _WEIGHTED),
    "StableDiffusionInstructPix2PixPipeline": Form(StableDiffusionInstructPix2PixPipeline, _WEIGHTED),
    "StableDiffusionXLPipeline": Form(StableDiffusionXLPipeline, _XL_WEIGHTED),
}
"""By the class that a folder's `model_index.json` names."""


def find(name: str, folder: Path) -> Form:
    """Returns the form of the pipeline in a folder; raises UserError for a kind that is not supported."""
    try:
        kind = str(json.loads((folder / "model_index.json").read_bytes())["_class_name"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"expected the name of a pipeline's class in {folder}/model_index.json, got none: {error}",
            f"{name!r} must be what `save_pretrained` of diffusers writes.",
        ) from error
    if kind not in FORMS:
        raise UserError(
            f"expected a {' or '.join(FORMS)} in {folder}, got a {kind}",
            "Stable Diffusion 1, 2 and XL are supported. Stable Diffusion 3 and FLUX are not: their denoiser is a "
            "transformer, trained by flow matching on latents of 16 channels.",
        )
    return FORMS[kind]


def without_extras(form: Form) -> dict[str, Any]:
    """Returns the arguments that leave out the safety checker or the watermark, which no run needs."""
    if form.pipeline is StableDiffusionXLPipeline:
        return {"add_watermarker": False}
    return {"safety_checker": None, "requires_safety_checker": False}


def own_parts(form: Form, folder: Path, dtype: torch.dtype) -> dict[str, Any]:
    """Returns the parts that the pipeline would not load by itself, by name.

    These are parts that have half-precision weights alone, and the denoiser of Stable Diffusion XL.
    """
    parts = {}
    for name, kind in form.weighted.items():
        variant = hub.variant(folder / name)
        if variant or kind is XlDenoiser:
            parts[name] = pretrained.read(kind, folder / name, dtype, variant=variant)
    return parts
