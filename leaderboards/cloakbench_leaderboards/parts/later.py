"""What a page shows, worked out only when the page is rendered."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class LazyView:
    """A view that is made when a template calls it; its `repr` is what it follows from, so that pages stay cheap."""

    recipe: str
    make: Callable[[], object] = field(repr=False)

    def __call__(self) -> object:
        """Returns the view."""
        return self.make()


def recipe(*inputs: object) -> str:
    """Returns a digest of everything that a view follows from; the `repr` of each has to tell it apart."""
    return hashlib.sha256(repr(inputs).encode("utf-8", "surrogatepass")).hexdigest()
