"""What the mimic's edit kept: the edit of each protected image against the same edit of the clean one."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics.functional.image import visual_information_fidelity

LEVELS = 255


def vif(edited: Tensor, clean: Tensor) -> Tensor:
    """Returns the visual information fidelity of each edit: 1 for equal images.

    The pixel-domain form VIF-p (Sheikh and Bovik 2006) of each colour channel on whole levels in double precision,
    averaged over the channels. It is 0 where no structure of the clean image is left, and above 1 where contrast was
    gained without noise. torchmetrics divides 0 by 0 where a channel of the clean image has one flat colour: such a
    channel counts as 1 where the edited channel is equal, else as 0.

    Args:
        edited: Edits of the protected images, `[B, 3, H, W]` in [0, 1], at least 41 pixels a side.
        clean: The same edits of the clean images, same shape.

    Returns:
        `[B]`, from 0, without unit.
    """
    preds, target = _levels(edited), _levels(clean)
    shares = visual_information_fidelity(preds, target, reduction="none")
    is_equal = (preds == target).flatten(1).all(1)
    shares = torch.where(shares.isnan(), is_equal.double(), shares)
    return shares.view(clean.shape[:2]).mean(1)


def _levels(images: Tensor) -> Tensor:
    """Returns each colour channel as an image of its own, `[B * 3, 1, H, W]` in whole levels."""
    return (images * LEVELS).round().double().flatten(0, 1).unsqueeze(1)
