from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import DDPMPipeline, UNet2DModel
from purifying import ASSETS, TAESD

from cloakbench import image_files
from cloakbench.models import loader
from cloakbench.models.mini import architecture


@pytest.fixture(params=["mini-a", "mini-b"])
def base(request, stand_ins):
    """A base model with epsilon prediction, and one with v prediction."""
    return loader.load(request.param)


@pytest.fixture
def upscaler(sd_weights):
    """A folder with an untrained upscaler of the shape of Stable Diffusion's."""
    return sd_weights / "sd-x4-upscaler"


@pytest.fixture(scope="session")
def purifier_folder(tmp_path_factory):
    """A folder with an untrained denoiser of pixels, smaller than the shipped one."""
    folder = tmp_path_factory.mktemp("purifier")
    small = {"block_out_channels": (8, 16, 16, 16), "sample_size": 32}
    torch.manual_seed(1)
    unet = UNet2DModel.from_config({**architecture.purifier().config, **small})
    DDPMPipeline(unet=unet, scheduler=architecture.purifier_scheduler()).save_pretrained(folder)
    return folder


@pytest.fixture
def painting(stand_ins):
    if not (ASSETS / "images" / "van_gogh").is_dir() or not Path(TAESD).is_dir():
        pytest.skip("the paintings and TAESD are not here: set CLOAKBENCH_ASSETS")
    return next(iter(image_files.read_folder(ASSETS / "images" / "van_gogh").values()))
