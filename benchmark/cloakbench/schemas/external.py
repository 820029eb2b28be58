"""An attack that an installed package offers, in addition to those of a suite."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from cloakbench.schemas import fields
from cloakbench.schemas.suite import AttackSpec


class AttackPackage(BaseModel):
    """Where an attack comes from, and what its author says about it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    spelling: fields.Name
    """Entry-point name with parameters."""
    distribution: fields.Name
    version: fields.Name
    digest: fields.Key
    """SHA-256 over the distribution's installed files."""
    title: fields.Line
    paper: fields.Line
    knowledge: Literal["oblivious", "tool", "pairs"]


class ExternalAttack(AttackSpec):
    """A countermeasure of a package before a mimicry of the suite; no part of the suite, whose scores it cannot change.

    `countermeasure` is None: what cleans is the package.
    """

    package: AttackPackage
