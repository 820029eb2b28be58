"""Artists: the images that are protected and learned, and references that are neither."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cloakbench import image_files, images
from cloakbench.datasets import manifest, masks
from cloakbench.datasets.distinct import NamedPicture, check_distinct
from cloakbench.errors import UserError
from cloakbench.images import Pixels
from cloakbench.schemas.suite import Suite

MINI = Path(__file__).parent / "mini"
LEAST_IMAGES = 5
"""Images per artist of a user's folder: three to protect, two references."""


@dataclass(frozen=True)
class Artist:
    """One protected subject; `captions` has one entry per image, `references` are disjoint from `images`."""

    name: str
    images: tuple[Pixels, ...]
    captions: tuple[str, ...]
    references: tuple[Pixels, ...]
    masks: tuple[Pixels, ...] = ()
    """One per image, `[H, W]`, 255 where the image may be repainted; empty where the collection has none."""

    @cached_property
    def image_digests(self) -> list[str]:
        """The digest of each protected image; computed once, because thousands of cells read it."""
        return _digests(self.images)

    def first(self, count: int) -> Artist:
        """Returns the artist with the first `count` images alone."""
        return Artist(self.name, self.images[:count], self.captions[:count], self.references, self.masks[:count])

    @cached_property
    def reference_digests(self) -> list[str]:
        """The digest of each reference."""
        return _digests(self.references)

    @cached_property
    def mask_digests(self) -> list[str]:
        """The digest of each mask; raises UserError where there are none."""
        if not self.masks:
            raise UserError(
                f"expected masks for the images of {self.name!r}, got none", f"{masks.HINT} Or run no inpainting."
            )
        return _digests(self.masks)


def _digests(pictures: Iterable[Pixels]) -> list[str]:
    return [images.digest(pixels) for pixels in pictures]


def mini_artist(name: str, suite: Suite) -> Artist:
    """Returns an artist that the package ships; raises UserError for other names."""
    folder = MINI / name
    if not folder.is_dir():
        shipped = ", ".join(sorted(path.name for path in MINI.iterdir() if path.is_dir()))
        raise UserError(f"expected a shipped artist ({shipped}), got {name!r}", "Correct `artists` in the suite file.")
    protected = list(image_files.read_folder(folder / "images").values())[: suite.images_per_artist]
    subjects: list[str] = json.loads((folder / "subjects.json").read_text(encoding="utf-8"))
    captions = [_with_subject(suite, subject) for subject in subjects[: len(protected)]]
    references = image_files.read_folder(folder / "references").values()
    return Artist(name, tuple(protected), tuple(captions), tuple(references))


def _with_subject(suite: Suite, subject: str) -> str:
    return f"a {suite.class_word} of a {subject} in the style of {suite.token}"


def folder_artists(folder: Path, suite: Suite, size: int) -> list[Artist]:
    """Returns one artist per sub-folder of a user's folder; every third image becomes a reference.

    Args:
        folder: Has one sub-folder per artist; hidden ones and system folders are passed over, files are left out.
        suite: Says how many images of an artist are protected, and with which caption.
        size: Pixels per side; images are centre-cropped and scaled to it.

    Raises:
        UserError: There are no sub-folders, an artist has fewer than `LEAST_IMAGES` pictures, a folder or file has a
            name with hidden characters, a picture cannot be read, or two pictures of all artists are equal by pixels.
    """
    if not folder.is_dir():
        raise UserError(
            f"expected a folder with one sub-folder per artist, got {folder}", "Give it with --images FOLDER."
        )
    artists: list[Artist] = []
    pictures: list[NamedPicture] = []
    for artist_folder in _artist_folders(folder):
        squares = _squares(artist_folder, size)
        for path, pixels in squares:
            pictures.append(NamedPicture(path, images.digest(pixels)))
        artists.append(_folder_artist(artist_folder.name, squares, suite, size))
    check_distinct(pictures)
    return artists


def _artist_folders(folder: Path) -> list[Path]:
    """Returns the sub-folders by name; a warning names the files beside them."""
    artist_folders, files = [], []
    for path in image_files.visible_paths(folder):
        if path.is_dir():
            artist_folders.append(path)
        else:
            files.append(path.name)
    image_files.warn_left_out(folder, files)
    if not artist_folders:
        raise UserError(
            f"expected one sub-folder per artist in {folder}, got none", "Put each artist's images into one."
        )
    image_files.check_names(path.name for path in artist_folders)
    return artist_folders


def _squares(folder: Path, size: int) -> list[tuple[Path, Pixels]]:
    """Returns the files of one artist with their central squares, `[size, size, 3]` each."""
    pixels = image_files.read_folder(folder, ignored=(masks.FOLDER,))
    if len(pixels) < LEAST_IMAGES:
        raise UserError(
            f"expected at least {LEAST_IMAGES} images of an artist (3 to protect, 2 references), got {len(pixels)} in "
            f"{folder}",
            "Add images or remove the folder.",
        )
    return [(folder / name, images.fit_square(whole, size)) for name, whole in pixels.items()]


def _folder_artist(name: str, squares: list[tuple[Path, Pixels]], suite: Suite, size: int) -> Artist:
    paths: list[Path] = []
    protected: list[Pixels] = []
    references: list[Pixels] = []
    for number, (path, pixels) in enumerate(squares):
        if number % 3 == 1:
            references.append(pixels)
        elif len(protected) < suite.images_per_artist:
            paths.append(path)
            protected.append(pixels)
    captions = (suite.caption.format(token=suite.token),) * len(protected)
    return Artist(name, tuple(protected), captions, tuple(references), masks.beside(paths, size))


def check_option(suite: Suite, folder: Path | None) -> None:
    """Raises UserError where a suite that ships its images is given a folder of others."""
    if suite.dataset == "mini" and folder is not None:
        raise UserError(
            f"expected no --images for suite {suite.name!r}, which ships its images, got {folder}",
            "Run the suite `folder` on your own images.",
        )


def load(suite: Suite, folder: Path | None, size: int) -> list[Artist]:
    """Returns the suite's artists, images centre-cropped to `size` pixels per side.

    Args:
        suite: Names its artists, or takes all of the user's folder.
        folder: A frozen dataset or a folder with one sub-folder per artist; None for suites that ship their images.
        size: Pixels per side.

    Raises:
        UserError: The folder is missing, is not for this suite, or has pictures that cannot be used.
    """
    check_option(suite, folder)
    if suite.dataset == "mini":
        return [mini_artist(name, suite) for name in suite.artists]
    if suite.dataset == "manifest":
        return [Artist(*chosen) for chosen in manifest.load(folder, suite, size)]
    if folder is None:
        raise UserError(
            f"suite {suite.name!r} needs images, got none", "Add --images FOLDER with one sub-folder per artist."
        )
    return folder_artists(folder, suite, size)


def for_calibration(suite: Suite, folder: Path | None, size: int) -> list[Artist]:
    """Returns the artists on whose images a run calibrates strengths; none where the suite calibrates nothing."""
    matching = suite.matching
    if matching is None or not matching.calibrated:
        return []
    changes: Mapping[str, object] = {"artists": matching.artists, "images_per_artist": matching.images_per_artist}
    return load(suite.model_copy(update=changes), folder, size)
