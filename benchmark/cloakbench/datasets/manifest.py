"""Manifests: a folder of chosen images with the digest of each, so that two machines use the same ones."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from cloakbench import image_files, images
from cloakbench.datasets import masks, selection
from cloakbench.datasets.distinct import NamedPicture, check_distinct
from cloakbench.errors import UserError
from cloakbench.images import Pixels
from cloakbench.schemas import fields
from cloakbench.schemas.suite import Suite

FILE = "manifest.json"
Role = Literal["protect", "reference"]


class ManifestImage(BaseModel):
    """One image of a manifest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    artist: fields.Name
    role: Role
    file: fields.Line
    """Path below the manifest's folder."""
    sha256: fields.Key
    """Of the file, not of its pixels."""
    title: fields.Line = ""
    """What the collection called it."""
    caption: fields.Text = ""
    """Training caption with `{token}`; empty: the suite's."""


class Manifest(BaseModel):
    """Which images were chosen, by which rule."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    selection: str
    version: int
    items: list[ManifestImage]


class Chosen(NamedTuple):
    """The images of one artist; `captions` has one entry per image, and so has `masks` where there are any."""

    name: str
    images: tuple[Pixels, ...]
    captions: tuple[str, ...]
    references: tuple[Pixels, ...]
    masks: tuple[Pixels, ...]


def how_to_get(suite: Suite) -> str:
    """Returns in words how to make the folder that a suite needs."""
    source = selection.load(suite.selection).collection
    return (
        f"`cloakbench dataset freeze {suite.name} --from {source.split()[0]} --out FOLDER` makes it; "
        f"then add --images FOLDER. {source}"
    )


def read(folder: Path | None, suite: Suite) -> Manifest:
    """Returns the manifest in `folder`; raises UserError where there is none, or none for this suite."""
    if folder is None:
        raise UserError(f"suite {suite.name!r} needs a folder with a {FILE}, got none", how_to_get(suite))
    try:
        manifest = Manifest.model_validate_json((folder / FILE).read_bytes())
    except (OSError, ValidationError) as error:
        reason = _reason(error)
        raise UserError(f"expected a manifest at {folder / FILE}, got {reason}", how_to_get(suite)) from error
    rule = selection.load(suite.selection)
    if (manifest.selection, manifest.version) != (rule.name, rule.version):
        raise UserError(
            f"expected images chosen by {rule.name} {rule.version}, got {manifest.selection} {manifest.version}",
            how_to_get(suite),
        )
    return manifest


def _reason(error: OSError | ValidationError) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return f"one with {'.'.join(map(str, first['loc']))[:100]}: {first['msg']}"
    return "none" if isinstance(error, FileNotFoundError | NotADirectoryError) else str(error.strerror)


def check(folder: Path | None, suite: Suite) -> int:
    """Returns how many images of the suite are here and unchanged; raises UserError for the first that is not."""
    manifest = read(folder, suite)
    assert folder is not None
    items: list[ManifestImage] = []
    for name in suite.collected:
        items += [*_of(manifest, name, "protect", suite), *_of(manifest, name, "reference", suite)]
    for item in items:
        _bytes(folder, item)
    return len(items)


def load(folder: Path | None, suite: Suite, size: int) -> list[Chosen]:
    """Returns the suite's artists, images centre-cropped to `size` pixels.

    Raises UserError for a missing or changed file, for equal pictures, and for an artist with too few images.
    """
    manifest = read(folder, suite)
    assert folder is not None
    chosen, pictures = [], []
    for name in suite.artists:
        protected = _read_all(folder, _of(manifest, name, "protect", suite), size)
        references = _read_all(folder, _of(manifest, name, "reference", suite), size)
        captions = tuple(_caption(item, suite) for item in protected)
        painted = masks.beside([folder / item.file for item in protected], size)
        chosen.append(Chosen(name, tuple(protected.values()), captions, tuple(references.values()), painted))
        for item, square in (*protected.items(), *references.items()):
            pictures.append(NamedPicture(folder / item.file, images.digest(square)))
    check_distinct(pictures)
    return chosen


def _read_all(folder: Path, items: list[ManifestImage], size: int) -> dict[ManifestImage, Pixels]:
    return {item: _pixels(folder, item, size) for item in items}


def _caption(item: ManifestImage, suite: Suite) -> str:
    return (item.caption or suite.caption).replace("{token}", suite.token)


def _of(manifest: Manifest, artist: str, role: Role, suite: Suite) -> list[ManifestImage]:
    """Returns as many images of one artist and role as the suite uses; raises UserError where they are too few."""
    count = suite.images_per_artist if role == "protect" else selection.load(suite.selection).references
    items = []
    for item in manifest.items:
        if (item.artist, item.role) == (artist, role):
            items.append(item)
    if len(items) < count:
        raise UserError(f"expected {count} images of {artist} to {role}, got {len(items)}", how_to_get(suite))
    return items[:count]


def _bytes(folder: Path, item: ManifestImage) -> bytes:
    path = folder / item.file
    hint = f"Restore the file, or freeze the dataset again; the manifest is {folder / FILE}."
    if not path.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"expected a path below {folder}, got {item.file!r}", hint)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"expected the image {path}, got none: {error.strerror}", hint) from error
    digest = hashlib.sha256(data).hexdigest()
    if digest != item.sha256:
        raise UserError(f"the image {path} changed: expected sha256 {item.sha256}, got {digest}", hint)
    return data


def _pixels(folder: Path, item: ManifestImage, size: int) -> Pixels:
    try:
        return images.fit_square(image_files.decode(_bytes(folder, item)), size)
    except ValueError as error:
        raise UserError(f"expected an image, got {folder / item.file}: {error}", "Freeze the dataset again.") from error
