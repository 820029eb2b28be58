"""Untrained stand-ins for the embedded models: the same classes and files, a few kilobytes, ready in a second."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import open_clip
import torch
from diffusers import AutoencoderKL, AutoencoderTiny, StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import save_file

from cloakbench.datasets.procedural import styles
from cloakbench.models.mini import architecture, tokenizer
from cloakbench.models.mini.architecture import Base
from cloakbench.models.mini.perceptual import MiniLPIPS
from cloakbench.models.mini.viewer import Viewer

SMALL = 32
BASES = (
    Base("mini-a", "epsilon", (SMALL, SMALL, SMALL), SMALL, 1),
    Base("mini-b", "v_prediction", (SMALL, SMALL, SMALL), SMALL, 1),
)


def write(root: Path) -> Path:
    """Writes stand-ins for all of the package's weights below `root`, in their layout."""
    words = root / "words"
    tokenizer.write(words, ["painting", "style", "boat", "sks"])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for base in BASES:
            _base(base, words, root / base.name)
        _independent_vae(root / "mini-vae-c")
        _judge(words, root / "mini-clip")
        save_file(MiniLPIPS().state_dict(), root / "mini-lpips.safetensors")
        viewer = Viewer()
        viewer.bank.copy_(torch.nn.functional.normalize(torch.randn(viewer.bank.shape), dim=1))
        save_file(viewer.state_dict(), root / "mini-viewer.safetensors")
    shutil.rmtree(words)
    return root


def _base(base: Base, words: Path, folder: Path) -> None:
    learned = tokenizer.load(words)
    small = {"block_out_channels": (8, 8, 8, 8)}
    denoiser = architecture.unet(base).config
    StableDiffusionPipeline(
        vae=AutoencoderKL.from_config({**architecture.vae().config, **small}),
        text_encoder=architecture.text_encoder(base, len(learned)),
        tokenizer=learned,
        unet=UNet2DConditionModel.from_config(denoiser),
        scheduler=architecture.scheduler(base),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder, safe_serialization=True)
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(words / name, folder / "tokenizer" / name)


def _independent_vae(folder: Path) -> None:
    small = {"encoder_block_out_channels": (8, 8, 8), "decoder_block_out_channels": (8, 8, 8)}
    AutoencoderTiny.from_config({**architecture.independent_vae().config, **small}).save_pretrained(folder)


def _judge(words: Path, folder: Path) -> None:
    folder.mkdir()
    config = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 128, "layers": [1, 1, 1, 1], "width": 8, "head_width": 16},
        "text_cfg": {
            "context_length": architecture.TOKENS,
            "vocab_size": len(tokenizer.load(words)),
            "width": 16,
            "heads": 2,
            "layers": 1,
        },
    }
    model = open_clip.CLIP(**config)
    state = {}
    for name, weight in model.state_dict().items():
        if name != "attn_mask":
            state[name] = weight.contiguous()
    state["projection"] = torch.linalg.qr(torch.randn(16, 8))[0].contiguous()
    save_file(state, folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    (folder / "styles.json").write_text(json.dumps([style.name for style in styles.STYLES]))
    shutil.copy(words / "bpe.txt.gz", folder / "bpe.txt.gz")
