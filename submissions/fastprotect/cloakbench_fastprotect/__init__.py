"""FastProtect as a cloakbench submission: perturbations trained once, an image protected by a lookup."""

from cloakbench_fastprotect.protection import FastProtect

__all__ = ["FastProtect"]
