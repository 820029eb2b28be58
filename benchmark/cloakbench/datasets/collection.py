"""Collections of paintings as people have them: a folder of WikiArt in either of its layouts, or the hub's copy."""

from __future__ import annotations

import importlib
import json
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from cloakbench.datasets import masks
from cloakbench.errors import UserError
from cloakbench.image_files import is_hidden, is_picture
from cloakbench.user_files import read_text

HUB = "huggan/wikiart"
Rows = Iterable[Mapping[str, Any]]
"""One mapping per image: `artist`, a name, and `image`, a mapping with its `bytes` and `path`."""


class Painting(NamedTuple):
    """A file with what the collection says about it; `caption` is empty where it has none."""

    path: Path
    title: str
    caption: str


def slug(name: str) -> str:
    """Returns a name as WikiArt writes it.

    Example:
        >>> slug("Paul Cézanne")
        'paul-cezanne'
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def local(folder: Path, artists: Collection[str]) -> dict[str, list[Painting]]:
    """Returns the paintings of each artist below `folder`, in no order.

    A file belongs to the artist whose name its folder has (`claude-monet/x.jpg`), or else the part of its own name
    before the first underscore (`Impressionism/claude-monet_x.jpg`). Raises UserError where `folder` is none.
    """
    if not folder.is_dir():
        raise UserError(f"expected a folder of paintings or {HUB}, got {folder}", "Correct --from.")
    captions = _captions(folder)
    paintings: dict[str, list[Painting]] = {artist: [] for artist in artists}
    for path in _picture_paths(folder):
        prefix, _, rest = path.stem.partition("_")
        owners = [name for name in (slug(path.parent.name), slug(prefix)) if name in paintings]
        if owners:
            title = rest if rest and slug(prefix) == owners[0] else path.stem
            paintings[owners[0]].append(Painting(path, title, _caption(path, folder, captions)))
    return paintings


def _picture_paths(folder: Path) -> Iterator[Path]:
    """Yields the picture files below a folder; hidden and system folders, and those of masks, are passed over."""
    for path in folder.rglob("*"):
        is_passed_over = any(is_hidden(parent) for parent in path.relative_to(folder).parents if parent.name)
        is_mask = path.parent.name == masks.FOLDER
        if is_picture(path) and not path.is_dir() and not is_passed_over and not is_mask:
            yield path


def _captions(folder: Path) -> dict[str, str]:
    path = folder / "captions.json"
    if not path.is_file():
        return {}
    try:
        captions = json.loads(read_text(path))
    except ValueError as error:
        raise UserError(f"expected JSON in {path}, got: {error}", "Correct or remove the file.") from error
    if not isinstance(captions, dict) or not all(isinstance(text, str) for text in captions.values()):
        raise UserError(f"expected an object of captions by file name in {path}, got something else", "Correct it.")
    return captions


def _caption(path: Path, folder: Path, captions: Mapping[str, str]) -> str:
    """Returns the caption of `captions.json`, else of the text file with the picture's name, else an empty one."""
    text = captions.get(path.relative_to(folder).as_posix(), captions.get(path.name))
    text_file = path.with_suffix(".txt")
    if text is None:
        text = read_text(text_file) if text_file.exists() else ""
    return " ".join(text.split())


def hub_rows() -> Rows:
    """Yields the rows of the hub's dataset, as they arrive; raises UserError where the package `datasets` is absent."""
    try:
        library = importlib.import_module("datasets")
    except ImportError as error:
        raise UserError(
            f"expected the package datasets for {HUB}, found none",
            "Run `pip install datasets`, or give the folder of a local copy.",
        ) from error
    try:
        stream = library.load_dataset(HUB, split="train", streaming=True).select_columns(["image", "artist"])
        names = stream.features["artist"].names
        for row in stream.cast_column("image", library.Image(decode=False)):
            yield {"artist": names[row["artist"]], "image": row["image"]}
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"expected the dataset {HUB} from the hub, got {type(error).__name__}: {error}",
            "Connect to the hub, or give the folder of a local copy.",
        ) from error


def from_hub(target: Path, artists: Collection[str], rows: Callable[[], Rows] = hub_rows) -> None:
    """Writes the hub's paintings of `artists` below `target`, one folder each."""
    for number, row in enumerate(rows()):
        artist = slug(row["artist"])
        if artist in artists:
            name = Path(row["image"].get("path") or f"{number:06d}.jpg").name
            path = target / artist / name
            path.parent.mkdir(exist_ok=True)
            path = path.with_name(f"{number:06d}-{name}") if path.exists() else path
            path.write_bytes(row["image"]["bytes"])
