"""Selection rules: which images of a public collection a suite protects, and which it compares with."""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cloakbench.errors import UserError
from cloakbench.user_files import read_text

FOLDER = Path(__file__).parent


class SelectionRule(BaseModel):
    """A rule as its TOML file says it; it names no file, so that any copy of the collection will do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: int = Field(ge=1)
    rule: str
    """The whole rule in words."""
    protect: int = Field(ge=1)
    """Images per artist that are protected and imitated."""
    references: int = Field(ge=1)
    """Other images per artist, which are neither protected nor learned."""
    least_side: int = Field(ge=1)
    """Pixels of the shorter side; smaller images are passed over."""
    most_ratio: float = Field(ge=1)
    """Longer side over shorter side; longer images are passed over, because a square crop would lose most of them."""
    needs_masks: bool = False
    """Whether an image without a mask is passed over."""
    collection: str = "WIKIART is a folder of the collection, or huggan/wikiart."
    """What `dataset freeze` takes the images from; its first word stands for it in commands."""
    artists: dict[str, str] = Field(min_length=1)
    """Artists by the collection's name for them, each with who chose it."""


def load(name: str) -> SelectionRule:
    """Returns the package's rule `name`, or the one in a TOML file at that path; raises UserError where it is none."""
    shipped = FOLDER / f"{name}.toml"
    path = shipped if shipped.is_file() else Path(name)
    try:
        return SelectionRule.model_validate(tomllib.loads(read_text(path)))
    except (UserError, tomllib.TOMLDecodeError, ValidationError) as error:
        shipped_names = ", ".join(sorted(p.stem for p in FOLDER.glob("*.toml")))
        raise UserError(
            f"expected a selection ({shipped_names}) or the path of one in TOML, got {name!r}: {error}",
            "Correct `selection` in the suite file.",
        ) from error
