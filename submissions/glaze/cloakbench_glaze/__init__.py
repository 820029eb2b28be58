"""Glaze, re-implemented from its published algorithm, as a cloakbench submission."""

from cloakbench_glaze.glaze import Glaze

__all__ = ["Glaze"]
