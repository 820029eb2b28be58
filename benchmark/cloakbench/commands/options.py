"""Options that several verbs share, each declared once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from cloakbench.runs.choice import Choice
from cloakbench.system.locations import default_store

Many = Annotated[list[str], Parameter(consume_multiple=True, negative="")]
Flag = Annotated[bool, Parameter(negative="")]
SuiteName = Annotated[str, Parameter(help="Name of a suite, or path to its TOML file.")]
WhichSuite = Annotated[str | None, Parameter(help="Name of the suite, where the records are of several.")]
Records = Annotated[Path, Parameter(help="A store, or a folder of reference records.")]
RecordsOrArchive = Annotated[
    Path, Parameter(help="A store, a folder of reference records, or an archive that `cloakbench submit` made.")
]
StoreFolder = Annotated[
    Path | None,
    Parameter(
        name="--store",
        help="Folder of records: a store or a reference folder; ./results or $CLOAKBENCH_STORE by default.",
    ),
]
ImageFolder = Annotated[
    Path | None,
    Parameter(
        name="--images",
        help="Folder of images: one sub-folder per artist for the suite `folder`, a frozen dataset for `painting`.",
    ),
]
Only = Annotated[
    Many | None,
    Parameter(help="Restrict to FIELD=VALUE with a field of protection, artist, attack, seed, strength, target."),
]
Limit = Annotated[int | None, Parameter(help="At most this many cells.")]


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class RunSelection:
    """The options of `run`, `plan`, `status` and `refresh` that say which cells a suite has and where records are.

    Args:
        protection: Protections such as `photoguard[steps=50]`; all installed ones by default. References are added.
        attack: Attacks of installed packages to run too; the suite's scores do not change.
        model: Model alias (or folder in diffusers layout) for the suite `folder`, which takes any.
        salt_file: File with the secret salt of an official run, which needs all weights, locks and a clean commit.
    """

    protection: Many | None = None
    attack: Many | None = None
    images: ImageFolder = None
    model: str | None = None
    salt_file: Path | None = None
    store: StoreFolder = None

    @property
    def root(self) -> Path:
        """The folder of the store."""
        return self.store or default_store()

    def choice(
        self,
        suite: str,
        only: Sequence[str] | None = None,
        limit: int | None = None,
        device: Literal["cpu", "cuda"] | None = None,
    ) -> Choice:
        """Returns the choice of cells that the options make of a suite."""
        return Choice(
            suite,
            self.protection or (),
            self.images,
            only or (),
            limit,
            self.model,
            device,
            self.salt_file,
            self.attack or (),
        )


ALL = RunSelection()
"""Every installed protection, in the default store."""
