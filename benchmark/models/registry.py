"""Model aliases: facts about every base model and where its weights lie, without importing torch."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmark.errors import UserError, unknown

WEIGHTS = Path(__file__).parent / "mini" / "weights"


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A base model by alias: `mirrors` are tried in order; empty for models that the package ships."""

    name: str
    version: int
    summary: str
    latent_family: str
    image_size: int
    licence: str
    mirrors: tuple[str, ...] = ()


MODELS: tuple[ModelFacts, ...] = (
    ModelFacts(
        "mini-a",
        1,
        "Embedded white-box surrogate, epsilon prediction; stands in for SD v1.5",
        "mini",
        128,
        "Apache-2.0",
    ),
    ModelFacts(
        "mini-b",
        1,
        "Embedded transfer target, v-prediction; stands in for SD v2.1; weights not shipped yet",
        "mini",
        128,
        "Apache-2.0",
    ),
)
_FOLDERS_VARIABLE = "CLOAKBENCH_MODELS"
REPAIR = "Reinstall the package; `python -m benchmark.models.mini.train` makes embedded weights from nothing."


def find(alias: str) -> ModelFacts:
    """Returns the facts of `alias`, or of a local folder in diffusers layout; raises UserError for neither."""
    for facts in MODELS:
        if facts.name == alias:
            return facts
    if (Path(alias) / "model_index.json").is_file():
        return ModelFacts(Path(alias).name, 1, f"Local folder {alias}", "unknown", 512, "unknown")
    raise unknown("a folder in diffusers layout or a model alias", alias, [m.name for m in MODELS], "models")


def weights(name: str) -> Path:
    """Returns where embedded weights lie: `$CLOAKBENCH_MODELS/<name>` where that exists, else in the package."""
    override = os.environ.get(_FOLDERS_VARIABLE)
    replaced = Path(override) / name if override else WEIGHTS / name
    return replaced if replaced.exists() else WEIGHTS / name


def folder(alias: str) -> Path:
    """Returns the folder that holds the weights of `alias`: the embedded model's, or the local folder itself."""
    find(alias)
    path = weights(alias) if alias in {m.name for m in MODELS} else Path(alias)
    if not (path / "model_index.json").is_file():
        raise UserError(f"the weights of {alias!r} are missing: expected {path}/model_index.json", REPAIR)
    return path


@cache
def digest(path: Path) -> str:
    """Returns the SHA-256 over a model folder's files (names and contents); raises UserError where it is missing."""
    if not path.is_dir():
        raise UserError(f"expected a folder of weights at {path}, found none", REPAIR)
    total = hashlib.sha256()
    counted = {".safetensors", ".json", ".txt", ".gz"}
    for file in sorted(p for p in path.rglob("*") if p.is_file() and p.suffix in counted):
        total.update(file.relative_to(path).as_posix().encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


@cache
def file_digest(path: Path) -> str:
    """Returns the SHA-256 of one file; raises UserError where it is missing."""
    if not path.is_file():
        raise UserError(f"expected weights at {path}, found none", REPAIR)
    return hashlib.sha256(path.read_bytes()).hexdigest()
