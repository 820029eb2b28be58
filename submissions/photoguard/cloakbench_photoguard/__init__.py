"""PhotoGuard's encoder and diffusion attacks as a cloakbench submission."""

from cloakbench_photoguard.diffusion import PhotoGuardDiffusion
from cloakbench_photoguard.encoder import PhotoGuard

__all__ = ["PhotoGuard", "PhotoGuardDiffusion"]
