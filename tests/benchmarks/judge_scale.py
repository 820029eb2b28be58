"""Distances of pictures to an artist, on a scale from the artist's own unseen pictures (0) to the base model's (1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from cloakbench.datasets.artists import MINI
from cloakbench.datasets.procedural import scenes, styles
from cloakbench.image_files import read_folder
from cloakbench.images import Pixels, fit_square
from cloakbench.metrics import imitation, judge
from cloakbench.metrics.generations import style_distances

SEED = 120


@dataclass(frozen=True, slots=True)
class TwoStepDistance:
    """A primary distance in two steps, so that features of references are computed once."""

    features: Callable[[Sequence[Pixels]], Tensor]
    compare: Callable[[Tensor, Tensor], Tensor]
    """From features of pictures and of references to a value per picture."""


@dataclass(frozen=True, slots=True)
class ShownArtist:
    """A development artist: references, and two sets of unseen pictures of the same style."""

    name: str
    references: list[Pixels]
    scale: list[Pixels]
    unseen: list[Pixels]


def artists(paintings: Path | None = None) -> list[ShownArtist]:
    """Returns the development artists that the package ships, and the painter of a folder of real paintings.

    None of the pictures was in mini-viewer's training. Paintings are cut to squares of 128 pixels.
    """
    loaded = []
    if paintings is not None:
        images = [fit_square(image, 128) for image in read_folder(paintings).values()]
        loaded.append(ShownArtist("paintings", images[::2], images[1::4], images[3::4]))
    for style in sorted(styles.names("development")):
        folder, subjects = MINI / style.replace(" ", "-"), list(scenes.SUBJECTS)
        own = [styles.paint(style, subject, [SEED, n]) for n, subject in enumerate(subjects)]
        images = list(read_folder(folder / "images").values())
        loaded.append(ShownArtist(folder.name, list(read_folder(folder / "references").values()), own, images))
    return loaded


def imitation_distances(generated: Tensor, references: Tensor) -> Tensor:
    """Returns `imitation-distance` of each picture."""
    return imitation.likeness(generated, references).distance


def clip_features(images: Sequence[Pixels]) -> Tensor:
    """Returns mini-clip's features of pictures."""
    return judge.load().features(images)


DISTANCES = {
    "imitation-distance": TwoStepDistance(imitation.features, imitation_distances),
    "style-distance": TwoStepDistance(clip_features, style_distances),
}
"""The primary distance of `mini`, and that of its versions up to 3."""


class Scale:
    """Distances to one artist on which the artist's unseen pictures have 0 and the base model's pictures 1."""

    def __init__(self, artist: ShownArtist, floor: Sequence[Pixels], distance: TwoStepDistance) -> None:
        self.artist, self.distance = artist, distance
        self._references = distance.features(artist.references)
        self.own, self.floor = float(self.raw(artist.scale).mean()), float(self.raw(floor).mean())

    def raw(self, images: Sequence[Pixels]) -> NDArray[np.float64]:
        """Returns the distance of each picture, as it is."""
        return self.distance.compare(self.distance.features(images), self._references).double().numpy()

    def values(self, images: Sequence[Pixels]) -> NDArray[np.float64]:
        """Returns each picture's distance on the scale."""
        return (self.raw(images) - self.own) / (self.floor - self.own)

    def __call__(self, images: Sequence[Pixels]) -> float:
        """Returns the mean over pictures on the scale."""
        return float(self.values(images).mean())
