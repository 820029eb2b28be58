"""StyleAligned as a cloakbench attack."""

from cloakbench_style_aligned.mimicry import StyleAligned

__all__ = ["StyleAligned"]
