"""The models of `painting` and `editing` with random weights, as folders: in real size, or narrow for a trial.

Stable Diffusion 1.5 has its own configuration files and tokenizer. Those of the others are derived from them by what
their published configurations have otherwise.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

Config = dict[str, Any]
EDITORS = {
    "sd15-inpaint": ("StableDiffusionInpaintPipeline", 9),
    "instruct-pix2pix": ("StableDiffusionInstructPix2PixPipeline", 8),
}
"""Pipeline and input channels of the denoiser of models that see an image beside what they denoise."""
ALIASES = ("sd15", "sd15-inpaint", "instruct-pix2pix", "sd21-base", "sdxl-vae", "sd-x4-upscaler")
SECOND_UNET: Config = {
    "attention_head_dim": [5, 10, 20, 20],
    "cross_attention_dim": 1024,
    "use_linear_projection": True,
}
SECOND_TEXT: Config = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 23,
    "num_attention_heads": 16,
    "hidden_act": "gelu",
    "projection_dim": 512,
}
UPSCALER_UNET: Config = {
    "sample_size": 128,
    "in_channels": 7,
    "down_block_types": ["DownBlock2D", *["CrossAttnDownBlock2D"] * 3],
    "up_block_types": [*["CrossAttnUpBlock2D"] * 3, "UpBlock2D"],
    "only_cross_attention": [True, True, True, False],
    "block_out_channels": [256, 512, 512, 1024],
    "attention_head_dim": 8,
    "use_linear_projection": True,
    "cross_attention_dim": 1024,
    "num_class_embeds": 1000,
}
UPSCALER_VAE: Config = {
    "down_block_types": ["DownEncoderBlock2D"] * 3,
    "up_block_types": ["UpDecoderBlock2D"] * 3,
    "block_out_channels": [128, 256, 512],
    "scaling_factor": 0.08333,
    "sample_size": 256,
}
NARROW_UNET: Config = {"layers_per_block": 1, "block_out_channels": [32, 32, 32, 32], "attention_head_dim": 2}
NARROW_VAE: Config = {"layers_per_block": 1, "norm_num_groups": 8}
NARROW_TEXT: Config = {"intermediate_size": 64, "num_hidden_layers": 2}


class ModelWriter:
    """Writes models below a folder.

    Args:
        configs: Folder of Stable Diffusion 1.5's configuration files and tokenizer, in the layout of the hub.
        root: Where the models go, one folder per alias.
        narrow: Whether widths and depths shrink; sizes of images and text contexts stay.
    """

    def __init__(self, configs: Path, root: Path, narrow: bool) -> None:
        self.configs = configs
        self.root = root
        self.narrow = narrow

    def write(self, alias: str) -> None:
        """Writes one model with weights drawn from seed 0."""
        folder = self.root / alias
        with torch.random.fork_rng():
            torch.manual_seed(0)
            if alias == "sdxl-vae":
                self._vae({"scaling_factor": 0.13025, "sample_size": 1024}).save_pretrained(folder)
                return
            is_second = alias in ("sd21-base", "sd-x4-upscaler")
            self._unet(alias, is_second).save_pretrained(folder / "unet")
            self._vae(UPSCALER_VAE if alias == "sd-x4-upscaler" else {}).save_pretrained(folder / "vae")
            self._text_encoder(is_second).save_pretrained(folder / "text_encoder")
        shutil.copytree(self.configs / "tokenizer", folder / "tokenizer")
        self._write_schedulers(alias, folder)

    def _config(self, part: str) -> Config:
        config: Config = json.loads((self.configs / part / "config.json").read_text())
        return config

    def _unet(self, alias: str, is_second: bool) -> UNet2DConditionModel:
        config = {**self._config("unet"), **(SECOND_UNET if is_second else {})}
        if alias == "sd-x4-upscaler":
            config |= UPSCALER_UNET
        if alias in EDITORS:
            config |= {"in_channels": EDITORS[alias][1]}
        if self.narrow:
            config |= NARROW_UNET
        return UNet2DConditionModel.from_config(config)

    def _vae(self, changes: Config) -> AutoencoderKL:
        config = {**self._config("vae"), **changes}
        if self.narrow:
            config |= NARROW_VAE | {"block_out_channels": [8] * len(config["block_out_channels"])}
            # Attention over the upscaler's 512 x 512 latents takes a CPU minutes, however narrow.
            config |= {"mid_block_add_attention": changes is not UPSCALER_VAE}
        return AutoencoderKL.from_config(config)

    def _text_encoder(self, is_second: bool) -> CLIPTextModel:
        config = {**self._config("text_encoder"), **(SECOND_TEXT if is_second else {})}
        if self.narrow:
            config |= NARROW_TEXT
        return CLIPTextModel(CLIPTextConfig(**config))

    def _write_schedulers(self, alias: str, folder: Path) -> None:
        index = json.loads((self.configs / "model_index.json").read_text())
        schedule = json.loads((self.configs / "scheduler" / "scheduler_config.json").read_text())
        if alias in EDITORS:
            index["_class_name"] = EDITORS[alias][0]
        if alias == "sd-x4-upscaler":
            index["_class_name"] = "StableDiffusionUpscalePipeline"
            index["low_res_scheduler"] = ["diffusers", "DDPMScheduler"]
            index["scheduler"] = ["diffusers", "DDIMScheduler"]
            schedule |= {"_class_name": "DDIMScheduler", "prediction_type": "v_prediction"}
            noise = {"_class_name": "DDPMScheduler", "beta_start": 0.0001, "beta_end": 0.02}
            _write(folder / "low_res_scheduler" / "scheduler_config.json", {**noise, "beta_schedule": "scaled_linear"})
            index["max_noise_level"] = 350
        index |= {"safety_checker": [None, None], "feature_extractor": [None, None]}
        _write(folder / "model_index.json", index)
        _write(folder / "scheduler" / "scheduler_config.json", schedule)


def _write(path: Path, content: Config) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1))
