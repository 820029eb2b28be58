"""`cloakbench sign`: signs the records that ran in a store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cloakbench.errors import UserError
from cloakbench.store import reading, signing
from cloakbench.store.store import Store


@dataclass(frozen=True, slots=True)
class Signed:
    """The manifest, how many records it names, and how many were left out because they did not run here."""

    manifest: str
    records: int
    left_out: int


def sign_own(folder: Path, suite: str | None, key: Path) -> Signed:
    """Signs the records of a store that ran in it.

    Raises:
        UserError: The folder is no store or holds a link, no record ran in it, or ssh-keygen cannot sign with the key.
    """
    if reading.is_reference(folder):
        raise UserError(
            f"expected the store in which the records ran, got the reference folder {folder}",
            "Sign the store, then export it: the signatures are exported too.",
        )
    store = Store(folder)
    store.require_store()
    records = reading.load(folder, suite).records
    own = [record for record in records if store.is_own(record.key, record.environment.env_class)]
    if not own:
        raise UserError(
            f"expected records that ran in {folder}, got {len(records)} that were merged or adopted",
            "Sign them in the store in which they ran, then merge that.",
        )
    return Signed(str(signing.sign(folder, own, key)), len(own), len(records) - len(own))
