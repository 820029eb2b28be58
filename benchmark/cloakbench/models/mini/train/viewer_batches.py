"""Batches of mini-viewer's training: groups of one style each, degraded pictures, blends, ruins, mimics' pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from cloakbench.models.mini.train import ruins
from cloakbench.models.mini.train.viewer_material import (
    OWN,
    REFERENCES,
    Pictures,
    TrainingPictures,
    by_style,
    varied_group,
)
from cloakbench.models.mini.train.viewer_variety import Recolouring, with_colours_of

GROUPS = 6
"""Styles of a step."""
GENERATED_GROUPS, RECONSTRUCTED_GROUPS = 0.2, 0.4
"""Shares of groups whose further pictures a base model paints, and whose further pictures are reconstructed."""
DEGRADED, BLENDED, DRAWN_RUINS, PAINTED = 12, 6, 12, 6
"""Degraded pictures of a step, blends of two styles, drawn ruins; mimics' pictures of each sort, intact and ruined."""
SAME_COLOURS = 0.5
"""How often the second style of a pair has the colours of the first, so that colours alone do not tell them apart."""
_SIDE = 128
_VISIBLE = 0.1
"""Root mean square change from which a degradation counts at its full grade."""


class Batches:
    """Draws the batch of a step; the same step gives the same batch."""

    def __init__(self, material: TrainingPictures, seed: int) -> None:
        self.material, self.seed = material, seed
        self._rows, self._generated = by_style(material.style), by_style(material.generated_style)

    def draw(self, step: int) -> GradedBatch:
        """Returns the batch of a step."""
        rng = np.random.default_rng([self.seed, step])
        members = self._members(rng)
        grades, degraded = self._degraded(members, rng)
        shares, blended = self._blended(members, rng)
        drawn = [ruins.ruined(self._any(rng), rng) for _ in range(DRAWN_RUINS)]
        intact = self._some(self.material.intact, rng)
        ruined = self._some(self.material.ruined, rng)
        pictures = np.stack([*chain.from_iterable(members), *degraded, *blended, *drawn, *intact, *ruined])
        x = torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))).float()
        return GradedBatch(x, torch.tensor(grades, dtype=torch.float32), torch.from_numpy(shares))

    def _members(self, rng: np.random.Generator) -> list[list[ruins.Picture]]:
        """Returns the groups; the second of a pair has the first one's colours in some steps."""
        members = [self._group(rng) for _ in range(GROUPS)]
        for n in range(0, GROUPS, 2):
            if rng.random() < SAME_COLOURS:
                members[n + 1] = list(map(with_colours_of, members[n + 1], members[n]))
        return members

    def _degraded(
        self, members: list[list[ruins.Picture]], rng: np.random.Generator
    ) -> tuple[list[float], list[ruins.Picture]]:
        """Returns grades and degraded pictures, each of the next group; an invisible change counts for little."""
        grades: list[float] = []
        degraded: list[ruins.Picture] = []
        for n in range(DEGRADED):
            source = members[n % GROUPS][REFERENCES + n % OWN]
            grade = float(rng.random())
            changed = ruins.degraded(source, grade, rng)
            visible = float(np.sqrt(np.square(changed - source).mean())) / _VISIBLE
            grades.append(grade * min(1.0, visible))
            degraded.append(changed)
        return grades, degraded

    def _blended(
        self, members: list[list[ruins.Picture]], rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], list[ruins.Picture]]:
        """Returns the other style's shares, and pictures of each group with one of the next group laid over them."""
        shares = rng.random(BLENDED).astype(np.float32)
        blended: list[ruins.Picture] = []
        for n, share in enumerate(shares):
            own, other = members[n % GROUPS][-1], members[(n + 1) % GROUPS][-1]
            blended.append((1 - share) * own + share * other)
        return shares, blended

    def _group(self, rng: np.random.Generator) -> list[ruins.Picture]:
        """Returns pictures of one style: references first, then further ones, which may be a model's."""
        kind = rng.random()
        if kind < GENERATED_GROUPS:
            pictures = self._generated_group(rng)
        elif kind < GENERATED_GROUPS + RECONSTRUCTED_GROUPS:
            pictures = self._reconstructed_group(rng)
        else:
            pictures = varied_group(self.material.drawn, self._rows, rng)
        return [_mirrored(picture, rng) for picture in pictures]

    def _generated_group(self, rng: np.random.Generator) -> list[ruins.Picture]:
        """Returns drawn references of a style and what a base model paints in it, under one change of colours."""
        recolour, name = Recolouring.drawn(rng), int(rng.choice(list(self._generated)))
        references = self.material.drawn[rng.choice(self._rows[name], REFERENCES, replace=False)]
        further = self.material.generated[rng.choice(self._generated[name], OWN, replace=False)]
        return [recolour(picture.astype(np.float32) / 255) for picture in (*references, *further)]

    def _reconstructed_group(self, rng: np.random.Generator) -> list[ruins.Picture]:
        """Returns a group whose further pictures went through an autoencoder, under one more change of colours."""
        recolour = Recolouring.drawn(rng)
        group = self.material.groups[int(rng.integers(len(self.material.groups)))]
        return [recolour(picture.astype(np.float32) / 255) for picture in group]

    def _any(self, rng: np.random.Generator) -> ruins.Picture:
        picture = self.material.drawn[int(rng.integers(len(self.material.drawn)))]
        return Recolouring.drawn(rng)(picture.astype(np.float32) / 255)

    def _some(self, pictures: Pictures, rng: np.random.Generator) -> list[ruins.Picture]:
        """Returns mimics' pictures drawn with replacement, each varied."""
        chosen = pictures[rng.integers(len(pictures), size=PAINTED)]
        return [_varied(picture.astype(np.float32) / 255, rng) for picture in chosen]


def _mirrored(picture: ruins.Picture, rng: np.random.Generator) -> ruins.Picture:
    return picture[:, ::-1] if rng.random() < 0.5 else picture


def _varied(picture: ruins.Picture, rng: np.random.Generator) -> ruins.Picture:
    """Returns a mimic's picture with other colours, mirrored or not, in full or cut and enlarged."""
    picture = _mirrored(Recolouring.drawn(rng)(picture), rng)
    if rng.random() < 0.5:
        return picture
    side = int(rng.integers(80, 128))
    top, left = rng.integers(0, _SIDE + 1 - side, 2)
    part = Image.fromarray((picture[top : top + side, left : left + side] * 255).astype(np.uint8))
    return np.asarray(np.asarray(part.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)) / 255, np.float32)


@dataclass(frozen=True, slots=True)
class GradedBatch:
    """The pictures of a step, in this order: groups, degraded, blended, drawn ruins, mimics' intact, mimics' ruined."""

    pixels: Tensor
    grades: Tensor
    """Of the degraded pictures, in [0, 1]; the n-th is made of a picture of group n modulo `GROUPS`."""
    shares: Tensor
    """Of the other style in the blends, in [0, 1]; the n-th is of group n and of the next."""

    def split(self, values: Tensor) -> Sequence[Tensor]:
        """Returns values of all pictures by sort."""
        sizes = [GROUPS * (REFERENCES + OWN), DEGRADED, BLENDED, DRAWN_RUINS, PAINTED, PAINTED]
        return torch.split(values, sizes)
