"""Models on a hub: the first mirror that answers, and what to do where none does. No torch."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple, Protocol

from cloakbench.errors import UserError
from cloakbench.system import locations

PARTS = ("scheduler", "text_encoder", "tokenizer", "unet", "vae")
"""The parts of a pipeline that are loaded; the safety checker and single-file checkpoints are not."""
UPSCALER_PARTS = ("low_res_scheduler", *PARTS)
"""The same of a diffusion upscaler."""
XL_PARTS = (*PARTS, "text_encoder_2", "tokenizer_2")
"""The same of Stable Diffusion XL."""
ALL_PARTS = tuple(dict.fromkeys([*UPSCALER_PARTS, *XL_PARTS]))
WEIGHTED = ("text_encoder", "text_encoder_2", "unet", "vae")
BARE = ("config.json", "diffusion_pytorch_model.safetensors")
"""The files of a part alone, as of a bare autoencoder."""
_SUFFIXES = ("json", "txt", "safetensors")
_PART_FILES = [f"{part}/*.{suffix}" for part, suffix in product(ALL_PARTS, _SUFFIXES)]
_WANTED = ["model_index.json", *_PART_FILES, *BARE]
HALF = "fp16"
"""The variant that is loaded of a part that has no full-precision weights; diffusers' name for it."""
_HALF_FILES = ["*.fp16.*", "*.fp16-*"]
_NON_EMA_FILES = ["*.non_ema.*", "*.non_ema-*"]
_STEMS = ("diffusion_pytorch_model", "model")
"""What diffusers and transformers call a part's weights, without ending."""


class Snapshot(NamedTuple):
    """A model's files here, and the hub's commit that they are of."""

    folder: Path
    revision: str


class HubSource(NamedTuple):
    """A hub repository, at a commit where one is known."""

    mirror: str
    revision: str = ""


class FoundSource(NamedTuple):
    """The source that answered, and its files."""

    mirror: str
    snapshot: Snapshot


class NotOnHub(Exception):  # noqa: N818 - says what is the matter
    """A repository's files are not in the local cache, and could not be downloaded or must not be."""


class Fetch(Protocol):
    """Gets a repository's files; may raise any exception where it cannot."""

    def __call__(self, mirror: str, revision: str, /) -> Snapshot:
        """Returns the files of `mirror`; an empty `revision` means its newest commit."""
        ...


def is_offline() -> bool:
    """Returns whether the variable of Hugging Face forbids requests to the hub."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def download(mirror: str, revision: str, /) -> Snapshot:
    """Returns a repository's files from the local Hugging Face cache, brought up to date from the hub if it may be."""
    return _snapshot(mirror, revision, is_offline())


def cached(mirror: str, revision: str, /) -> Snapshot:
    """Returns a repository's files from the local Hugging Face cache alone."""
    return _snapshot(mirror, revision, True)


def _snapshot(mirror: str, revision: str, local: bool) -> Snapshot:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    def obtain(ignored: list[str]) -> Path:
        return Path(
            snapshot_download(
                mirror,
                revision=revision or None,
                allow_patterns=_WANTED,
                ignore_patterns=ignored,
                local_files_only=local,
            )
        )

    try:
        folder = obtain([*_HALF_FILES, *_NON_EMA_FILES])
        if _unweighted(folder):
            folder = obtain(_NON_EMA_FILES)
    except LocalEntryNotFoundError as error:
        reason = "nothing was downloaded" if local else "the hub did not answer"
        raise NotOnHub(f"not in the local Hugging Face cache, and {reason}") from error
    return Snapshot(folder, folder.name)  # the cache names a snapshot's folder by its commit


def lacking(folder: Path, parts: Sequence[str] = PARTS) -> list[str]:
    """Returns what a folder should hold and does not.

    Args:
        folder: A pipeline's folder, or a bare autoencoder's.
        parts: The folders of the pipeline; empty for a bare autoencoder.
    """
    required = ["model_index.json", *parts] if parts else BARE
    missing = [name for name in required if not (folder / name).exists()]
    if not parts:
        return missing
    for part in _unweighted(folder):
        if part not in missing and variant(folder / part) is None:
            missing.append(f"{part}/*.safetensors")
    return missing


def _unweighted(folder: Path) -> list[str]:
    """Returns the parts of a pipeline's folder that have no full-precision weights."""
    if not (folder / "model_index.json").is_file():
        return []
    present = [part for part in WEIGHTED if part in PARTS or (folder / part).is_dir()]
    return [part for part in present if not _has_weights(folder / part, "")]


def variant(part: Path) -> str | None:
    """Returns `fp16` for a part that has half-precision weights and no others, else None."""
    return HALF if not _has_weights(part, "") and _has_weights(part, f".{HALF}") else None


def _has_weights(part: Path, infix: str) -> bool:
    """Returns whether a part's weights are there whole: one file, or the index of several."""
    for stem in _STEMS:
        whole, index = part / f"{stem}{infix}.safetensors", part / f"{stem}.safetensors.index{infix}.json"
        if whole.is_file() or index.is_file():
            return True
    return False


def find(
    alias: str, sources: Iterable[HubSource], fetch: Fetch = download, parts: Sequence[str] = PARTS
) -> FoundSource:
    """Returns the first source that answers with a whole model; raises UserError with each one's reason where none."""
    reasons = []
    for source in sources:
        try:
            snapshot = fetch(source.mirror, source.revision)
        except Exception as error:  # clients of a hub raise many kinds, and the next mirror may still answer
            reasons.append(f"\n    {source.mirror}: {_brief(error)}")
            continue
        missing = lacking(snapshot.folder, parts)
        if not missing:
            return FoundSource(source.mirror, snapshot)
        reasons.append(f"\n    {source.mirror}: lacks {', '.join(missing)}")
    raise UserError(
        f"expected the weights of {alias!r} from one of its mirrors, in this order:{''.join(reasons)}",
        how_to_get(alias, parts),
    )


def _brief(error: Exception) -> str:
    """Returns the first three lines as one: the hub says in the third to log in or to accept a licence."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = " ".join(lines[:3])[:400]
    return text if isinstance(error, NotOnHub) else f"{type(error).__name__}: {text}"


def how_to_get(alias: str, parts: Sequence[str] = PARTS) -> str:
    """Returns in words how to bring a hub model of these parts here, with and without a network."""
    whole = f"model_index.json and the folders {', '.join(parts)}, weights as .safetensors"
    layout = whole if parts else " and ".join(BARE)
    offline = "HF_HUB_OFFLINE is set and forbids it: unset it and " if is_offline() else ""
    return (
        f"To download it, {offline}connect to the hub and run what needs it. Without a network, put a folder in "
        f"diffusers layout at ${locations.MODELS_VARIABLE}/{alias}: {layout}."
    )
