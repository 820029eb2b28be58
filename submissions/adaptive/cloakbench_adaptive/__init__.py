"""Protections that know of IMPRESS, as a cloakbench submission."""

from cloakbench_adaptive.glaze import AdaptiveGlaze
from cloakbench_adaptive.photoguard import AdaptivePhotoGuard

__all__ = ["AdaptiveGlaze", "AdaptivePhotoGuard"]
