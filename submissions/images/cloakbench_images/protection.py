"""The entry: it looks up each image and computes nothing."""

from __future__ import annotations

import os
from pathlib import Path

from torch import Tensor

from cloakbench import Protection, Request
from cloakbench.errors import UserError
from cloakbench.images import quantise, to_tensor
from cloakbench_images import collection

VARIABLE = "CLOAKBENCH_IMAGES"


class Images(Protection):
    """Returns images that another program protected, found by the pixels of the original.

    Args:
        folder: A folder under `$CLOAKBENCH_IMAGES`, with the first digits of the digest of what it holds:
            `glaze-2.1-0f3a9c5d7e21`. The digest makes other images another entry.
    """

    title = "Images protected elsewhere"
    budget = "ready-made"

    def __init__(self, *, folder: str) -> None:
        root = os.environ.get(VARIABLE)
        if not root:
            raise UserError(f"expected the folder of image sets in {VARIABLE}, got none", f"export {VARIABLE}=FOLDER")
        sets = [collection.read(path.parent) for path in sorted(Path(root).glob(f"*/{collection.MANIFEST}"))]
        by_spelling = {stored.spelling: stored for stored in sets}
        if folder not in by_spelling:
            raise UserError(
                f"expected folder={' or '.join(by_spelling) or 'a set of images'} in {root}, got {folder!r}",
                "Make one with: python -m cloakbench_images add. Added or changed images change the digits at its end.",
            )
        self.stored = by_spelling[folder]

    def protect(self, images: Tensor, request: Request) -> Tensor:
        """Returns the stored images of the request's strength; raises UserError for one that is missing or changed."""
        protected = [self.stored.image(original, request.strength) for original in quantise(images)]
        return to_tensor(protected).to(images.device)
