"""Mist as a cloakbench submission."""

from cloakbench_mist.protection import Mist

__all__ = ["Mist"]
