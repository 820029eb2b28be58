"""Equal pictures: an image is never protected and a reference at once, nor of two artists."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from cloakbench.errors import UserError


class NamedPicture(NamedTuple):
    """A picture file with the digest of its pixels."""

    path: Path
    digest: str


def check_distinct(pictures: Iterable[NamedPicture]) -> None:
    """Raises UserError where two pictures have equal pixels; the message names both files."""
    first: dict[str, Path] = {}
    for picture in pictures:
        if picture.digest in first:
            raise UserError(
                f"expected different pictures, got equal ones in {first[picture.digest]} and {picture.path}",
                "Remove one: an image that is protected must not be a reference, too, nor belong to two artists.",
            )
        first[picture.digest] = picture.path
