"""cloakbench: runs image protections against a fixed suite of mimicry attacks. Submitters import from here."""

from cloakbench.contract import Protection, Request, Surrogate

__all__ = ["Protection", "Request", "Surrogate"]
