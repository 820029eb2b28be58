"""Controls: entries without intelligence, against which a board's numbers are read."""

from cloakbench_controls.identity import Identity
from cloakbench_controls.noise import Placebo, RandomNoise

__all__ = ["Identity", "Placebo", "RandomNoise"]
