"""cloakbench: runs image protections against a fixed suite of mimicry attacks. Submitters import from here."""

from cloakbench.contract import Protection, Request, Surrogate
from cloakbench.system import cpu

cpu.settle()  # before any module of the package imports torch

__all__ = ["Protection", "Request", "Surrogate"]
