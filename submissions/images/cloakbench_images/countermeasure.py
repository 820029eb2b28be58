"""The entry for images that a closed tool cleaned: it looks up each protected image and computes nothing."""

from __future__ import annotations

from torch import Tensor

from cloakbench import AttackRequest, Countermeasure
from cloakbench.images import quantise, to_tensor
from cloakbench_images import collection

WHOLE = 1.0
"""The strength that cleaned images are stored under: a countermeasure has none."""


class Cleaned(Countermeasure):
    """Returns images that another program cleaned, found by the pixels of the protected image.

    Args:
        folder: A folder under `$CLOAKBENCH_IMAGES`, with the first digits of the digest of what it holds, as for
            `images`.
    """

    title = "Images cleaned elsewhere"

    def __init__(self, *, folder: str) -> None:
        self.stored = collection.find(folder)

    def clean(self, images: Tensor, request: AttackRequest) -> Tensor:
        """Returns the stored images; raises UserError for one that is missing or changed."""
        cleaned = [self.stored.image(protected, WHOLE) for protected in quantise(images)]
        return to_tensor(cleaned).to(images.device)
