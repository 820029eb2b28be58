"""AdvDM as a cloakbench submission."""

from cloakbench_advdm.protection import AdvDM

__all__ = ["AdvDM"]
