"""Feature spaces: the networks that extract features of generations and references, once per image and network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from cloakbench.errors import UserError
from cloakbench.images import Pixels
from cloakbench.metrics import clip, imitation, inception, judge, weights
from cloakbench.metrics.clip import Clip
from cloakbench.metrics.comparing import full_precision
from cloakbench.models import registry


class NotKept(UserError):  # noqa: N818 - says what is the matter
    """Neither the features nor the images that they are made of are here."""


@dataclass(frozen=True, slots=True)
class Space:
    """One network's features: its file of weights, and what returns `[N, d]` of images on a device."""

    weights: str
    extract: Callable[[Sequence[Pixels], str], Tensor]

    @property
    def is_here(self) -> bool:
        """Whether its weights are on this machine."""
        return weights.find(self.weights).is_here

    @property
    def digest(self) -> str:
        """The SHA-256 of the weights on this machine; raises UserError where there are none."""
        path = _path(self.weights)
        return registry.digest(path) if path.is_dir() else registry.file_digest(path)


def _inception(images: Sequence[Pixels], device: str) -> Tensor:
    return inception.features(images, _path("inception-2015-12-05.pt"), device)


def load_clip(name: str, device: str) -> Clip:
    """Returns the CLIP in the file of weights called `name`; raises UserError where there is none."""
    return clip.load(_path(name), device)


def _path(name: str) -> Path:
    file = weights.find(name)
    if not file.is_here:
        raise UserError(f"expected the weights {name}, found none in {file.path.parent}", weights.how_to_get())
    return file.path


def _clip(name: str) -> Callable[[Sequence[Pixels], str], Tensor]:
    return lambda images, device: load_clip(name, device).features(images)


SPACES: dict[str, Space] = {
    "mini-clip": Space("mini-clip", lambda images, _: judge.load().features(images)),
    "mini-viewer": Space(imitation.WEIGHTS, lambda images, _: imitation.features(images)),
    "inception": Space("inception-2015-12-05.pt", _inception),
    "clip-b32": Space("ViT-B-32.pt", _clip("ViT-B-32.pt")),
    "clip-l14-336": Space("ViT-L-14-336px.pt", _clip("ViT-L-14-336px.pt")),
}


class FeatureImages:
    """Images with their features, which are extracted once per space."""

    def __init__(
        self, images: Sequence[Pixels] | None, device: str = "cpu", by_space: Mapping[str, Tensor] | None = None
    ) -> None:
        self._images = images
        self.device = device
        self.by_space: dict[str, Tensor] = dict(by_space or {})
        """The features that have been extracted or were passed in."""

    @property
    def images(self) -> Sequence[Pixels]:
        """The images; raises NotKept where only features were kept."""
        if self._images is None:
            raise NotKept("expected the generated images, got none", "`cloakbench run --keep images` keeps them.")
        return self._images

    def features(self, space: str) -> Tensor:
        """Returns the images' features `[N, d]`, float32 on the CPU; raises NotKept, or UserError for bad images."""
        if space not in self.by_space:
            with full_precision():
                self.by_space[space] = SPACES[space].extract(self.images, self.device)
        return self.by_space[space]
