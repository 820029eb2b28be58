"""Freezing a dataset: applies a selection rule to a collection and keeps what it chose, with digests."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from cloakbench import images
from cloakbench.datasets import collection, manifest, selection
from cloakbench.datasets.collection import Painting, Rows
from cloakbench.datasets.manifest import Manifest, ManifestImage, Role
from cloakbench.datasets.selection import SelectionRule
from cloakbench.errors import UserError
from cloakbench.files import to_json, write_whole
from cloakbench.schemas.suite import Suite


class _Usable(NamedTuple):
    painting: Painting
    data: bytes
    digest: str


def freeze(suite: Suite, source: str, target: Path, rows: Callable[[], Rows] = collection.hub_rows) -> Manifest:
    """Copies the images that the suite's rule chooses below `target`, writes their manifest and returns it.

    `source` is a folder of paintings, or `huggan/wikiart`. The same files give the same manifest, whatever their names
    and folders. Raises UserError for a suite without a rule, a `target` that is not empty, and too few images.
    """
    if suite.dataset != "manifest":
        raise UserError(f"expected a suite whose dataset is a manifest, got {suite.name!r}", "Freeze `painting`.")
    rule = selection.load(suite.selection)
    unknown = sorted(set(suite.collected) - rule.artists.keys())
    if unknown:
        raise UserError(
            f"expected artists of the selection {rule.name}, got {', '.join(unknown)}", "Correct `artists`."
        )
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(f"expected an empty or a new folder, got {target}", "Give another --out.")
    try:
        if source != collection.HUB:
            return _freeze(suite, rule, Path(source), target)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".wikiart-") as folder:
            collection.from_hub(Path(folder), suite.collected, rows)
            return _freeze(suite, rule, Path(folder), target)
    except OSError as error:
        raise UserError(
            f"expected readable images and a writable folder, got {error.filename}: {error.strerror}",
            "Free space, or correct --from or --out.",
        ) from error


def _freeze(suite: Suite, rule: SelectionRule, source: Path, target: Path) -> Manifest:
    paintings = collection.local(source, suite.collected)
    chosen = {artist: _choose(rule, artist, found) for artist, found in sorted(paintings.items())}
    items = []
    for artist, usable in chosen.items():
        for number, one in enumerate(usable):
            role: Role = "protect" if number < rule.protect else "reference"
            file = f"{artist}/{one.digest[:16]}{one.painting.path.suffix.lower()}"
            write_whole(target / file, one.data)
            caption = _with_token(one.painting.caption) if role == "protect" else ""
            items.append(
                ManifestImage(
                    artist=artist,
                    role=role,
                    file=file,
                    sha256=one.digest,
                    title=one.painting.title,
                    caption=caption,
                )
            )
    done = Manifest(selection=rule.name, version=rule.version, items=items)
    write_whole(target / manifest.FILE, to_json(done.model_dump()))
    return done


def _with_token(caption: str) -> str:
    return caption if not caption or "{token}" in caption else f"{caption} in the style of {{token}}"


def _choose(rule: SelectionRule, artist: str, paintings: list[Painting]) -> list[_Usable]:
    """Returns the first usable files in the order of their digests; raises UserError where they are too few."""
    by_digest: dict[str, Painting] = {}
    for painting in sorted(paintings, key=lambda one: (not one.caption, one.title)):
        by_digest.setdefault(hashlib.sha256(painting.path.read_bytes()).hexdigest(), painting)
    wanted = rule.protect + rule.references
    found = list(islice(_usable(rule, by_digest), wanted))
    if len(found) < wanted:
        raise UserError(
            f"expected {wanted} images of {artist} with sides of at least {rule.least_side} pixels and at most "
            f"{rule.most_ratio:g} times as long as wide, got {len(found)} of {len(by_digest)}",
            "Give a more complete copy of the collection with --from.",
        )
    return found


def _usable(rule: SelectionRule, by_digest: dict[str, Painting]) -> Iterator[_Usable]:
    for digest, painting in sorted(by_digest.items()):
        data = painting.path.read_bytes()
        try:
            height, width = images.decode(data).shape[:2]
        except ValueError:
            continue  # the rule is about images; a damaged file is none
        short, long = sorted((height, width))
        if short >= rule.least_side and long <= rule.most_ratio * short:
            yield _Usable(painting, data, digest)
