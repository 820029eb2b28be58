"""IP-Adapter (Ye et al. 2023, arXiv 2308.06721): an image as a prompt, by weights that its authors trained."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from PIL import Image
from torch import Tensor

from cloakbench import AttackRequest, Mimicry, Surrogate
from cloakbench.errors import UserError
from cloakbench.images import quantise
from cloakbench.parameters import positive, whole
from cloakbench.system.locations import MODELS_VARIABLE, model_folder

ADAPTER = "models/ip-adapter_sd15.safetensors"
ENCODER = ("models/image_encoder/config.json", "models/image_encoder/model.safetensors")
CONTEXT_WIDTH = 768
"""Of Stable Diffusion 1.x, which the weights are made for."""
STYLE = "up_blocks.1."
"""The blocks of the denoiser in which the image acts: those of InstantStyle for Stable Diffusion 1.5."""


class IPAdapter(Mimicry):
    """Generates with the artist's images as image prompts, which act in the denoiser's style blocks alone.

    The prompts take the images in turn. Nothing is trained, and no image passes the autoencoder's encoder.

    Args:
        weights: Folder under `$CLOAKBENCH_MODELS` that holds the files of the repository `h94/IP-Adapter`.
        scale: Weight of the image prompt.
        steps: Of DDIM.
        guidance: Of the generation.
    """

    title = "IP-Adapter, style blocks"
    paper = "https://arxiv.org/abs/2308.06721"
    authors = "Ye and others"
    licence = "Apache-2.0"
    needs = frozenset({"surrogate"})

    def __init__(self, *, weights: str, scale: float = 1.0, steps: int = 30, guidance: float = 5.0) -> None:
        self.folder = find(weights)
        self.scale = positive("scale", scale)
        self.steps = whole("steps", steps)
        self.guidance = positive("guidance", guidance)

    def imitate(self, images: Tensor, request: AttackRequest) -> Tensor:
        """Returns one image per prompt, `[len(prompts), 3, S, S]` in [0, 1]; raises UserError for another model."""
        pipeline = self._pipeline(request.model)
        pictures = [Image.fromarray(pixels) for pixels in quantise(images)]
        generated: dict[int, Tensor] = {}
        for number in range(min(len(pictures), len(request.prompts))):
            rows = list(range(number, len(request.prompts), len(pictures)))
            drawn = pipeline(
                [request.prompts[row] for row in rows],
                ip_adapter_image=pictures[number],
                num_inference_steps=self.steps,
                guidance_scale=self.guidance,
                generator=request.generator,
                output_type="pt",
            ).images
            generated |= dict(zip(rows, drawn.float(), strict=True))
        return torch.stack([generated[row] for row in range(len(request.prompts))])

    def _pipeline(self, model: Surrogate) -> Any:
        """Returns the stock pipeline on a copy of the denoiser with the adapter's weights."""
        width = model.unet.config.cross_attention_dim
        if width != CONTEXT_WIDTH:
            raise UserError(
                f"expected a model of Stable Diffusion 1.x for ip-adapter, got {model.name!r} with contexts of {width}",
                "Its weights are made for that model: choose a suite on sd15.",
            )
        scheduler = DDIMScheduler.from_config(model.scheduler.config, clip_sample=False, set_alpha_to_one=False)
        pipeline: Any = StableDiffusionPipeline(
            model.vae,
            model.text_encoder,
            model.tokenizer,
            copy.deepcopy(model.unet),
            scheduler,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        folder, name = ADAPTER.rsplit("/", 1)
        pipeline.load_ip_adapter(str(self.folder), subfolder=folder, weight_name=name, local_files_only=True)
        pipeline.set_progress_bar_config(disable=True)
        for layer, processor in pipeline.unet.attn_processors.items():
            if hasattr(processor, "scale"):
                processor.scale = [self.scale if layer.startswith(STYLE) else 0.0]
        return pipeline


def find(name: str) -> Path:
    """Returns the folder of the weights; raises UserError with what is missing."""
    folder = model_folder(name)
    missing = [file for file in (ADAPTER, *ENCODER) if folder is None or not (folder / file).is_file()]
    if folder is not None and not missing:
        return folder
    raise UserError(
        f"expected IP-Adapter's weights in ${MODELS_VARIABLE}/{name}, which lacks {', '.join(missing)}",
        "Download these files of the repository h94/IP-Adapter there; a run downloads nothing for an attack.",
    )
