"""The entry: it looks up each image and computes nothing."""

from __future__ import annotations

from torch import Tensor

from cloakbench import Protection, Request
from cloakbench.images import quantise, to_tensor
from cloakbench_images import collection


class Images(Protection):
    """Returns images that another program protected, found by the pixels of the original.

    Args:
        folder: A folder under `$CLOAKBENCH_IMAGES`, with the first digits of the digest of what it holds:
            `glaze-2.1-0f3a9c5d7e21`. The digest makes other images another entry.
    """

    title = "Images protected elsewhere"
    budget = "ready-made"

    def __init__(self, *, folder: str) -> None:
        self.stored = collection.find(folder)

    def protect(self, images: Tensor, request: Request) -> Tensor:
        """Returns the stored images of the request's strength; raises UserError for one that is missing or changed."""
        protected = [self.stored.image(original, request.strength) for original in quantise(images)]
        return to_tensor(protected).to(images.device)
