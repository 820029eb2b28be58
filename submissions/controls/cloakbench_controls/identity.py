"""The clean arm."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from cloakbench import Protection, Request


class Identity(Protection):
    """No protection: what the mimic gets from clean images."""

    title = "Unprotected"
    licence = "Apache-2.0"
    control: ClassVar[str] = "identity"

    def protect(self, images: Tensor, request: Request) -> Tensor:
        """Returns the images as they are."""
        return images
