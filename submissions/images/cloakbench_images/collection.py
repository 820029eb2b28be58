"""A folder of protected images with a manifest that says which original each belongs to, by pixels.

NAME/manifest.json              strength -> digest of the original -> digest of the protected image
NAME/<strength>/<digest>.png    the protected image, named by the original's digest
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cloakbench.errors import UserError
from cloakbench.files import to_json, write_whole
from cloakbench.images import Pixels, decode_png, digest, encode

MANIFEST = "manifest.json"
VARIABLE = "CLOAKBENCH_IMAGES"
"""The variable that names the folder of all sets of images."""
MULTIPLE = 8
"""A protection is given images whose sides are padded to multiples of this."""
_SHOWN = 12
"""Hexadecimal digits of the manifest's digest in a spelling."""


@dataclass(frozen=True, slots=True)
class Collection:
    """The protected images in one folder; `protected` is strength -> original's digest -> protected image's digest."""

    folder: Path
    protected: Mapping[str, Mapping[str, str]]

    @property
    def spelling(self) -> str:
        """Its name with the digest of what it holds: the value of the parameter `folder`."""
        return f"{self.folder.name}-{hashlib.sha256(to_json(self.protected)).hexdigest()[:_SHOWN]}"

    def image(self, original: Pixels, strength: float) -> Pixels:
        """Returns the protected image of a padded original; raises UserError where there is none or it changed."""
        at = spelled(strength)
        if at not in self.protected:
            raise UserError(
                f"expected images of strength {at} in {self.folder}, got {', '.join(self.protected) or 'none'}",
                "Protect the originals at that strength too and add them.",
            )
        key = digest(original)
        path = self.folder / at / f"{key}.png"
        if key not in self.protected[at]:
            raise UserError(
                f"expected the protected image of the original {key[:_SHOWN]} at strength {at} in {self.folder}, "
                f"got {len(self.protected[at])} others",
                "Originals are known by their pixels: export them from the suite, protect those, and add them.",
            )
        return _padded(_checked(path, self.protected[at][key], original.shape[0] * original.shape[1]))

    def adding(self, pairs: Iterable[tuple[Pixels, Pixels]], strength: float) -> Collection:
        """Writes (original, protected) pairs of one size each into the folder and returns the collection with them."""
        at = spelled(strength)
        of_original = dict(self.protected.get(at, {}))
        for original, protected in pairs:
            key = digest(_padded(original))
            write_whole(self.folder / at / f"{key}.png", encode(protected))
            of_original[key] = digest(protected)
        grown = Collection(self.folder, {**self.protected, at: of_original})
        write_whole(self.folder / MANIFEST, to_json(grown.protected))
        return grown


def spelled(strength: float) -> str:
    """Returns a strength as folders and manifests spell it: 0.5, 1."""
    return f"{strength:g}"


def read(folder: Path) -> Collection:
    """Returns the collection in a folder, an empty one where there is no manifest yet."""
    path = folder / MANIFEST
    return Collection(folder, json.loads(path.read_bytes()) if path.is_file() else {})


def find(spelling: str) -> Collection:
    """Returns the collection of a spelling such as `glaze-2.1-0f3a9c5d7e21`; raises UserError where there is none."""
    root = os.environ.get(VARIABLE)
    if not root:
        raise UserError(f"expected the folder of image sets in {VARIABLE}, got none", f"export {VARIABLE}=FOLDER")
    sets = [read(path.parent) for path in sorted(Path(root).glob(f"*/{MANIFEST}"))]
    by_spelling = {stored.spelling: stored for stored in sets}
    if spelling not in by_spelling:
        raise UserError(
            f"expected folder={' or '.join(by_spelling) or 'a set of images'} in {root}, got {spelling!r}",
            "Make one with: python -m cloakbench_images add. Added or changed images change the digits at its end.",
        )
    return by_spelling[spelling]


def _checked(path: Path, expected: str, max_pixels: int) -> Pixels:
    """Returns the image of a file; raises UserError where its digest is another or it is larger than its original."""
    try:
        pixels = decode_png(path.read_bytes(), max_pixels)
    except (OSError, ValueError) as error:
        raise UserError(f"expected a protected image, got {path}: {error}", "Add it again.") from error
    if digest(pixels) != expected:
        raise UserError(f"expected the image that was added, got another in {path}", "Add it again.")
    return pixels


def _padded(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[:2]
    return np.pad(pixels, ((0, -height % MULTIPLE), (0, -width % MULTIPLE), (0, 0)), mode="reflect")
