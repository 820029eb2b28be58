"""Impasto as a cloakbench submission: a base protection made harder to see."""

from cloakbench_impasto.protection import Impasto

__all__ = ["Impasto"]
