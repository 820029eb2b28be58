"""Where records that did not run here came from."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from cloakbench.schemas import fields


class Verb(StrEnum):
    """The command that brought a record in."""

    MERGE = "merge"
    """A run treats the cell as one that has not run here."""
    ADOPT = "adopt"
    """A run goes on from the record."""


class Origin(BaseModel):
    """One JSON document beside each record, or output of a stage, that another store made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    verb: Verb
    source: fields.Line
    """Name of the archive or folder."""
    sha256: fields.OptionalDigest = ""
    """Of the archive."""
    created: fields.Timestamp
    """UTC time, ISO 8601, when it came in."""
