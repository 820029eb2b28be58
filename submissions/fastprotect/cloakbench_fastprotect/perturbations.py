"""Trained perturbations: what they are, how one is looked up, their file."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from cloakbench.errors import UserError

FOLDER = Path(__file__).parent / "weights"


@dataclass(frozen=True, slots=True)
class Perturbations:
    """What training leaves behind, for T targets and K members of the mixture.

    Attributes:
        common: `[T, 3, H, W]` in [-1/2, 1/2], shares of the budget: the perturbation that every image gets.
        mixture: `[T, K, 3, H, W]` in [-1/2, 1/2]: the one that is added by the image's group.
        centroids: `[K, C, h, w]`, the groups' mean latents.
        entropies: `[T]`, the entropy of each target's latent.
        epsilon: `[]`, the budget of training, in units of [0, 1] images.
    """

    common: Tensor
    mixture: Tensor
    centroids: Tensor
    entropies: Tensor
    epsilon: Tensor

    def groups(self, latents: Tensor) -> Tensor:
        """Returns the group of each latent `[B, C, h, w]` of any size: the nearest centroid's number."""
        fitted = F.interpolate(latents, self.centroids.shape[-2:], mode="area")
        return torch.cdist(fitted.flatten(1), self.centroids.to(latents).flatten(1)).argmin(1)

    def nearest_targets(self, entropies: Tensor) -> Tensor:
        """Returns the number of the target whose entropy is nearest to each of `[B]`."""
        return (entropies[:, None] - self.entropies.to(entropies)).abs().argmin(1)

    def chosen(self, targets: Tensor, groups: Tensor, size: tuple[int, int]) -> Tensor:
        """Returns the sum of common perturbation and member, `[B, 3, *size]` in [-1, 1], resized bilinearly."""
        whole = (self.common[targets.cpu()] + self.mixture[targets.cpu(), groups.cpu()]).float()
        return whole if whole.shape[-2:] == size else F.interpolate(whole, size, mode="bilinear", align_corners=False)

    def save(self, path: Path) -> None:
        """Writes the file, perturbations in half precision."""
        halved = {"common": self.common.half(), "mixture": self.mixture.half()}
        tensors = {field.name: getattr(self, field.name) for field in fields(self)} | halved
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: value.cpu().contiguous() for name, value in tensors.items()}, path)


PREPARATION = "python -m cloakbench_fastprotect.train --model {model} --images FOLDER, then install the package again"


def shipped() -> frozenset[str]:
    """Returns the names of the models that the package holds perturbations for."""
    return frozenset(path.stem for path in FOLDER.glob("*.safetensors"))


def load(model: str) -> Perturbations:
    """Returns the shipped perturbations for a surrogate; raises UserError where it has none."""
    path = FOLDER / f"{model}.safetensors"
    if not path.is_file():
        names = ", ".join(sorted(shipped())) or "none"
        raise UserError(
            f"expected perturbations trained on the surrogate {model!r}, got those of {names}",
            PREPARATION.replace("{model}", model),
        )
    return Perturbations(**load_file(path))
