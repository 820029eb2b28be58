"""PhotoGuard's encoder attack as a cloakbench submission."""

from cloakbench_photoguard.encoder import PhotoGuard

__all__ = ["PhotoGuard"]
