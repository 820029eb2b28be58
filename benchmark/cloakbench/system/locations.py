"""Default folders and the variables that change them; readable without torch."""

from __future__ import annotations

import os
from pathlib import Path

STORE_VARIABLE = "CLOAKBENCH_STORE"
MODELS_VARIABLE = "CLOAKBENCH_MODELS"
LOCK_VARIABLE = "CLOAKBENCH_LOCK"
ENVIRONMENTS_VARIABLE = "CLOAKBENCH_ENVIRONMENTS"
SIGNERS_VARIABLE = "CLOAKBENCH_SIGNERS"


def default_store() -> Path:
    """Returns the store's folder: `$CLOAKBENCH_STORE`, else `results` here."""
    return Path(os.environ.get(STORE_VARIABLE) or "results")


def cache() -> Path:
    """Returns the folder of files that can be made again: `$XDG_CACHE_HOME/cloakbench`, else in `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "cloakbench"


def model_folder(name: str) -> Path | None:
    """Returns `$CLOAKBENCH_MODELS/<name>` where that exists, else None."""
    folder = os.environ.get(MODELS_VARIABLE)
    replaced = Path(folder) / name if folder else None
    return replaced if replaced is not None and replaced.exists() else None


def lock_file() -> Path:
    """Returns where the digests of loaded models are written down: `$CLOAKBENCH_LOCK`, else a file here."""
    return Path(os.environ.get(LOCK_VARIABLE) or "cloakbench.lock.json")


def signers_file() -> Path:
    """Returns whose signatures count as the maintainers': `$CLOAKBENCH_SIGNERS`, else the package's own file."""
    return Path(os.environ.get(SIGNERS_VARIABLE) or Path(__file__).parents[1] / "allowed_signers")
