"""The lock: which files a hub model consisted of when it was first loaded, so that later runs use the same ones."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict, RootModel, ValidationError

from cloakbench.errors import UserError
from cloakbench.files import to_json, write_whole
from cloakbench.system import locations


class LockedModel(BaseModel):
    """One locked model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mirror: str
    """The hub repository that answered; empty where a local folder took its place."""
    revision: str
    """The commit that the hub answered; empty for a local folder."""
    digest: str
    """SHA-256 over the model's files, as `registry.digest` counts them."""

    @property
    def origin(self) -> str:
        """Where the files came from, in words."""
        return f"{self.mirror} at {self.revision or 'an unknown commit'}" if self.mirror else "a local folder"


class _Lock(RootModel[dict[str, LockedModel]]):
    """The file: entries by alias."""


def read() -> dict[str, LockedModel]:
    """Returns the locked models by alias, none where there is no file; raises UserError for a damaged one."""
    path = locations.lock_file()
    try:
        return _Lock.model_validate_json(path.read_bytes()).root
    except FileNotFoundError:
        return {}
    except (OSError, ValidationError) as error:
        raise UserError(
            f"expected a lock file at {path}, got one that cannot be read: {str(error).splitlines()[0]}",
            "Restore it, or remove it so that the next load writes a new one.",
        ) from error


def verify(alias: str, digest: str) -> None:
    """Raises UserError where `alias` is locked to files of another digest."""
    locked = read().get(alias)
    if locked is not None and locked.digest != digest:
        raise UserError(
            f"the weights of {alias!r} changed: expected sha256 {locked.digest} (from {locked.origin}), got {digest}",
            f"Restore those files, or remove {alias!r} from {locations.lock_file()} to accept the new ones.",
        )


def record(alias: str, entry: LockedModel) -> None:
    """Locks a model that is not locked yet; raises UserError where the file cannot be written."""
    locked = read()
    if alias in locked:
        return
    path = locations.lock_file()
    entries = {name: model.model_dump() for name, model in {**locked, alias: entry}.items()}
    try:
        write_whole(path, to_json(entries))
    except OSError as error:
        raise UserError(
            f"expected a lock file that can be written, got {path}: {error.strerror}",
            f"Name another one with {locations.LOCK_VARIABLE}.",
        ) from error


def require(aliases: Iterable[str]) -> None:
    """Raises UserError naming those of `aliases` that no load has locked; an official run calls it first."""
    missing = sorted(set(aliases) - read().keys())
    if missing:
        raise UserError(
            f"expected every model in the lock file {locations.lock_file()}, got none of {', '.join(missing)}",
            "Load each once, for example by a run of the suite; the first load writes what it found.",
        )
