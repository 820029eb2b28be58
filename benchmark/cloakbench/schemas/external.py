"""An attack that an installed package offers, in addition to those of a suite."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from cloakbench.schemas import fields
from cloakbench.schemas.suite import AttackSpec


class AttackPackage(BaseModel):
    """Where an attack comes from, and what its author says about it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["countermeasure", "mimicry"] = "countermeasure"
    """What it offers."""
    spelling: fields.EntryName
    """Entry-point name with parameters."""
    distribution: fields.Name
    version: fields.Name
    digest: fields.Key
    """SHA-256 over the distribution's installed files."""
    title: fields.Line
    paper: fields.Line
    knowledge: Literal["oblivious", "tool", "pairs"]


class ExternalAttack(AttackSpec):
    """An attack of a package; no part of the suite, whose scores it cannot change.

    A package's countermeasure stands before a mimicry of the suite, with `countermeasure` None. A package's mimicry
    takes the protected images as they are, and `mimicry` is its spelling.
    """

    package: AttackPackage

    @property
    def has_countermeasure(self) -> bool:
        """Whether the package cleans the protected images."""
        return self.package.kind == "countermeasure"

    @property
    def has_own_mimicry(self) -> bool:
        """Whether the package generates the images."""
        return self.package.kind == "mimicry"
