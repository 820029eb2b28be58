"""Some of the artist's images were published before there was a protection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cloakbench.attacks.context import Context
from cloakbench.errors import UserError
from cloakbench.images import Pixels


@dataclass(frozen=True, slots=True)
class SomeClean:
    """Replaces `share` of the artist's images, rounded but at least one, by the unprotected originals.

    Which ones they are follows from the seed of the first image: the same for all protections of an artist, and unknown
    to them.
    """

    share: float

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ValueError("share must lie between 0 and 1")

    def apply(self, images: Sequence[Pixels], context: Context) -> list[Pixels]:
        """Returns the images with some of them unprotected; raises UserError where the context has no originals."""
        if len(context.originals) != len(images):
            raise UserError(
                f"expected an unprotected original for each of {len(images)} images, got {len(context.originals)}",
                "Run a suite: on images of your own only the protected ones are known.",
            )
        count = max(1, round(self.share * len(images)))
        chosen = np.random.default_rng(context.seeds[0]).permutation(len(images))[:count]
        mixed = list(images)
        for number in chosen:
            mixed[number] = context.originals[number]
        return mixed
