"""Where records that did not run here came from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from cloakbench.errors import UserError
from cloakbench.files import read_lines, read_regular
from cloakbench.schemas import fields
from cloakbench.schemas.record import Record
from cloakbench.store.paths import ORIGINS_FILE, StorePaths


class Verb(StrEnum):
    """The command that brought a record in."""

    MERGE = "merge"
    """A run treats the cell as one that has not run here."""
    ADOPT = "adopt"
    """A run goes on from the record."""


class Origin(BaseModel):
    """Where a record, or a stage's output, came from: a JSON document for each that another store made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    verb: Verb
    source: fields.Line
    """Name of the archive or folder."""
    sha256: fields.OptionalDigest = ""
    """Of the archive."""
    created: fields.Timestamp
    """UTC time, ISO 8601, when it came in."""


class CellOrigin(BaseModel):
    """A line of a reference folder's origins."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: fields.Key
    env_class: fields.EnvClass
    origin: Origin


UNREADABLE = Origin(verb=Verb.MERGE, source="an origin that cannot be read", created="1970-01-01T00:00:00Z")
"""What an origin counts as that is damaged: a record of unknown source is not taken for one that ran here."""
Origins = Mapping[tuple[str, str], Origin]
"""Of what was merged, by key and environment class."""


def read(folder: Path) -> Origins:
    """Returns the origins of what was merged into a store or reference folder; raises UserError for damaged lines."""
    origins = {}
    for file in StorePaths(folder).origins():
        try:
            origin = Origin.model_validate_json(read_regular(file))
        except (ValidationError, OSError):
            origin = UNREADABLE
        if origin.verb is Verb.MERGE:
            origins[file.parent.name, file.stem] = origin
    return {**origins, **_read_lines(folder / ORIGINS_FILE)}


def _read_lines(file: Path) -> Origins:
    try:
        lines = read_lines(file)
        cells = [CellOrigin.model_validate_json(line) for line in lines if line.strip()]
    except ValidationError as error:
        raise UserError(f"expected origins in {file}, got {error.errors()[0]['msg']}", "Export them again.") from error
    except OSError as error:
        raise UserError(f"expected origins in {file}, which {error.strerror}", "Export them again.") from error
    return {(cell.key, cell.env_class): cell.origin for cell in cells}


def to_lines(records: Iterable[Record], origins: Origins) -> bytes:
    """Returns the lines of a reference folder, in the order of the records."""
    lines = []
    for record in records:
        key, env_class = record.key, record.environment.env_class
        origin = origins.get((key, env_class))
        if origin is not None:
            lines.append(CellOrigin(key=key, env_class=env_class, origin=origin).model_dump_json() + "\n")
    return "".join(lines).encode()
