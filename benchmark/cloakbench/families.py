"""Families of base models: what defaults of protections and recipes of suites depend on. Readable without torch."""

from __future__ import annotations

from typing import Literal

Family = Literal["mini", "stable-diffusion"]
STABLE_DIFFUSION_WIDTH = 768
"""Least width of the text contexts of a Stable Diffusion model: 768 for 1.x, 1024 for 2.x, 2048 for XL."""


def of_width(width: int) -> Family:
    """Returns the family of a denoiser that attends to text contexts of `width`; the embedded models' are narrower."""
    return "stable-diffusion" if width >= STABLE_DIFFUSION_WIDTH else "mini"
