"""How good a generated image looks by itself, without reference: NIQE, BRISQUE, CLIP-IQA, all by pyiqa."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from cloakbench.errors import UserError
from cloakbench.images import Pixels, to_tensor
from cloakbench.metrics.comparing import checked
from cloakbench.metrics.loading import create_metric, paths
from cloakbench.metrics.metric import LEAST_SIDE

LEAST_SIDES = {"niqe": 192, "brisque": 14, "clip-iqa": LEAST_SIDE}
"""NIQE fits a Gaussian to blocks of 96 pixels: two by two at least; BRISQUE's window is 7 pixels at half size."""
_OPTIONS = {"niqe": "pretrained_model_path", "brisque": "pretrained_model_path", "clip-iqa": "backbone"}
"""What pyiqa calls the file of weights."""


@torch.no_grad()
def perceived(name: str, images: Sequence[Pixels], device: str = "cpu") -> list[float]:
    """Returns `niqe`, `brisque` or `clip-iqa` of each 8-bit image, sizes may differ.

    NIQE (Mittal et al. 2013) and BRISQUE (Mittal et al. 2012) with the parameters of their authors, on Y: lower looks
    more natural. CLIP-IQA (Wang et al. 2023) in [0, 1]: higher looks better. One image at a time, so that no image's
    value depends on another. Raises UserError for missing weights, images too small, and where no value exists (NIQE
    of a flat image).
    """
    pixels = checked(images, LEAST_SIDES[name], name)
    network = _network(name, torch.device(device), paths(name)[0])
    values = [_value(network, image, device) for image in pixels]
    for position, value in enumerate(values):
        if not math.isfinite(value):
            raise UserError(
                f"expected images with structure for {name!r}, got none in image {position}", "Leave it out."
            )
    return values


def _value(network: Any, pixels: Pixels, device: str) -> float:
    try:
        return float(network(to_tensor([pixels]).to(device)))
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]  # NIQE of an image without structure
        return math.nan


@lru_cache(maxsize=4)
def _network(name: str, device: torch.device, path: Path) -> Any:
    try:
        return create_metric(name.replace("-", ""), device, **{_OPTIONS[name]: str(path)}).net.eval()
    except ModuleNotFoundError as error:  # pyiqa's CLIP imports pkg_resources, which newer setuptools lack
        raise UserError(
            f"expected the module {error.name!r} for {name!r}, got none",
            "Install the last setuptools that has it: pip install 'setuptools<82'.",
        ) from error
