"""Artists: what a protection protects, what the mimic learns from, and references that neither ever sees."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cloakbench import images
from cloakbench.datasets import manifest, masks
from cloakbench.errors import UserError
from cloakbench.images import Pixels
from cloakbench.schemas.suite import Suite

MINI = Path(__file__).parent / "mini"


@dataclass(frozen=True)
class Artist:
    """One protected subject; `captions` has one entry an image, `references` are disjoint from `images`."""

    name: str
    images: tuple[Pixels, ...]
    captions: tuple[str, ...]
    references: tuple[Pixels, ...]
    masks: tuple[Pixels, ...] = ()
    """Of each image `[H, W]`, 255 where it may be repainted; empty where the collection has none."""

    @cached_property
    def image_digests(self) -> list[str]:
        """The digest of each protected image, computed once: thousands of cells ask for it."""
        return [images.digest(p) for p in self.images]

    @cached_property
    def reference_digests(self) -> list[str]:
        """The digest of each reference."""
        return [images.digest(p) for p in self.references]

    @cached_property
    def mask_digests(self) -> list[str]:
        """The digest of each mask; raises UserError where there are none."""
        if not self.masks:
            raise UserError(
                f"expected masks for the images of {self.name!r}, got none", f"{masks.HINT} Or run no inpainting."
            )
        return [images.digest(mask) for mask in self.masks]


def mini_artist(name: str, suite: Suite) -> Artist:
    """Returns an artist that the package ships; raises UserError for a name it does not know."""
    folder = MINI / name
    if not folder.is_dir():
        known = ", ".join(sorted(p.name for p in MINI.iterdir() if p.is_dir()))
        raise UserError(f"expected a shipped artist ({known}), got {name!r}", "Correct `artists` in the suite file.")
    shown = list(images.read_folder(folder / "images").values())[: suite.images_per_artist]
    subjects: list[str] = json.loads((folder / "subjects.json").read_text())
    texts = [_with_subject(suite, subject) for subject in subjects[: len(shown)]]
    references = images.read_folder(folder / "references").values()
    return Artist(name, tuple(shown), tuple(texts), tuple(references))


def _with_subject(suite: Suite, subject: str) -> str:
    return f"a {suite.class_word} of a {subject} in the style of {suite.token}"


def folder_artists(folder: Path, suite: Suite, size: int) -> list[Artist]:
    """Returns one artist per sub-folder; every third image becomes a reference, centre-cropped to `size` pixels."""
    if not folder.is_dir():
        raise UserError(
            f"expected a folder with one sub-folder per artist, got {folder}", "Give it with --images FOLDER."
        )
    found = []
    for sub in sorted(p for p in folder.iterdir() if p.is_dir()):
        pixels = {sub / file: images.fit_square(p, size) for file, p in images.read_folder(sub).items()}
        if len(pixels) < 5:
            raise UserError(
                f"expected at least 5 images of an artist (3 to protect, 2 references), got {len(pixels)} in {sub}",
                "Add images or remove the folder.",
            )
        files = [file for n, file in enumerate(pixels) if n % 3 != 1][: suite.images_per_artist]
        shown, references = tuple(pixels[file] for file in files), tuple(pixels.values())[1::3]
        caption = suite.caption.format(token=suite.token)
        found.append(Artist(sub.name, shown, (caption,) * len(shown), references, masks.beside(files, size)))
    if not found:
        raise UserError(
            f"expected one sub-folder per artist in {folder}, found none", "Put each artist's images into one."
        )
    return found


def load(suite: Suite, folder: Path | None, size: int) -> list[Artist]:
    """Returns the suite's artists: those it names, shipped or frozen in `folder`, or all of the user's `folder`."""
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
    """Returns the artists on whose images a run seeks strengths; none where the suite has nothing to seek."""
    matching = suite.matching
    if matching is None or not matching.calibrated:
        return []
    changes = {"artists": matching.artists, "images_per_artist": matching.images_per_artist}
    return load(suite.model_copy(update=changes), folder, size)


def names(artists: Iterable[Artist]) -> list[str]:
    """Returns the artists' names in order."""
    return [artist.name for artist in artists]
