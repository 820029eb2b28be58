"""Freezing a dataset: applies a selection rule to a collection and copies the chosen images, with digests."""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Set
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from cloakbench import image_files, images
from cloakbench.datasets import collection, manifest, masks, selection
from cloakbench.datasets.collection import Painting, Rows
from cloakbench.datasets.manifest import Manifest, ManifestImage, Role
from cloakbench.datasets.selection import SelectionRule
from cloakbench.errors import UserError
from cloakbench.files import to_json, write_whole
from cloakbench.schemas.suite import Suite
from cloakbench.user_files import read_bytes

_log = logging.getLogger(__name__)


class _Usable(NamedTuple):
    """A painting that the rule may choose, with the digests of its file and of its pixels."""

    painting: Painting
    data: bytes
    digest: str
    pixels_digest: str


def freeze(suite: Suite, source: str, target: Path, rows: Callable[[], Rows] = collection.hub_rows) -> Manifest:
    """Copies the images that the suite's rule chooses, and their masks, into a folder and writes their manifest.

    The same files give the same manifest, whatever their names and folders. Pictures with equal pixels are
    chosen once; a picture in the folders of two artists is not chosen.

    Args:
        suite: A suite whose dataset is a manifest.
        source: A folder of paintings, or `huggan/wikiart`.
        target: A new or an empty folder.
        rows: Yields the rows of the hub's dataset.

    Returns:
        The manifest as it was written.

    Raises:
        UserError: The suite has no rule, `target` is not empty, an artist has too few images, or a file cannot be read
            or written.
    """
    rule = _rule(suite)
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
        reason = f"{error.filename or target}: {error.strerror or type(error).__name__}"
        raise UserError(
            f"expected a readable collection and a writable folder, got {reason}",
            "Free space, or correct --from or --out.",
        ) from error


def _rule(suite: Suite) -> SelectionRule:
    """Returns the rule that chooses the suite's images; raises UserError where there is none."""
    if suite.dataset != "manifest":
        raise UserError(f"expected a suite whose dataset is a manifest, got {suite.name!r}", "Freeze `painting`.")
    rule = selection.load(suite.selection)
    unknown = sorted(set(suite.collected) - rule.artists.keys())
    if unknown:
        raise UserError(
            f"expected artists of the selection {rule.name}, got {', '.join(unknown)}", "Correct `artists`."
        )
    return rule


def _freeze(suite: Suite, rule: SelectionRule, source: Path, target: Path) -> Manifest:
    items = []
    for artist, chosen in _choose_all(rule, collection.local(source, suite.collected)).items():
        for number, usable in enumerate(chosen):
            role: Role = "protect" if number < rule.protect else "reference"
            file = f"{artist}/{usable.digest[:16]}{usable.painting.path.suffix.lower()}"
            write_whole(target / file, usable.data)
            mask = masks.path_of(usable.painting.path)
            if mask.is_file():
                write_whole(masks.path_of(target / file), read_bytes(mask))
            caption = _with_token(usable.painting.caption) if role == "protect" else ""
            items.append(
                ManifestImage(
                    artist=artist,
                    role=role,
                    file=file,
                    sha256=usable.digest,
                    title=usable.painting.title,
                    caption=caption,
                )
            )
    written = Manifest(selection=rule.name, version=rule.version, items=items)
    write_whole(target / manifest.FILE, to_json(written.model_dump()))
    return written


def _with_token(caption: str) -> str:
    return caption if not caption or "{token}" in caption else f"{caption} in the style of {{token}}"


def _choose_all(rule: SelectionRule, paintings: Mapping[str, list[Painting]]) -> dict[str, list[_Usable]]:
    """Returns what is chosen of each artist; a picture of two artists is passed over and the choice repeated."""
    excluded: set[str] = set()
    while True:
        chosen: dict[str, list[_Usable]] = {}
        counts: Counter[str] = Counter()
        for artist, files in sorted(paintings.items()):
            chosen[artist] = _choose(rule, artist, files, excluded)
            counts.update(usable.pixels_digest for usable in chosen[artist])
        shared = {digest for digest, count in counts.items() if count > 1}
        if not shared:
            return chosen
        excluded |= shared
        _log.warning("not chosen: %d pictures that two artists have", len(shared))


def _choose(rule: SelectionRule, artist: str, paintings: list[Painting], excluded: Set[str]) -> list[_Usable]:
    """Returns the first usable files in the order of their digests; raises UserError where they are too few."""
    by_digest: dict[str, Painting] = {}
    for painting in sorted(paintings, key=lambda painting: (not painting.caption, painting.title)):
        by_digest.setdefault(hashlib.sha256(read_bytes(painting.path)).hexdigest(), painting)
    count = rule.protect + rule.references
    chosen = list(islice(_usable(rule, by_digest, excluded), count))
    if len(chosen) < count:
        raise UserError(
            f"expected {count} images of {artist} with sides of at least {rule.least_side} pixels and at most "
            f"{rule.most_ratio:g} times as long as wide, got {len(chosen)} of {len(by_digest)}",
            "Give a more complete copy of the collection with --from.",
        )
    return chosen


def _usable(rule: SelectionRule, by_digest: dict[str, Painting], excluded: Set[str]) -> Iterator[_Usable]:
    """Yields the pictures that the rule may choose, equal ones once; a warning names a file that cannot be used."""
    pixels_digests = set(excluded)
    for digest, painting in sorted(by_digest.items()):
        if rule.needs_masks and not masks.path_of(painting.path).is_file():
            _log.warning("not chosen: %s has no mask", painting.path)
            continue
        data = read_bytes(painting.path)
        try:
            pixels = image_files.decode(data)
        except ValueError as error:
            _log.warning("not chosen: %s: %s", painting.path, error)
            continue
        short, long = sorted(pixels.shape[:2])
        pixels_digest = images.digest(pixels)
        if pixels_digest in pixels_digests:
            continue
        if short >= rule.least_side and long <= rule.most_ratio * short:
            pixels_digests.add(pixels_digest)
            yield _Usable(painting, data, digest, pixels_digest)
