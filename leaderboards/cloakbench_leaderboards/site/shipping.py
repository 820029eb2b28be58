"""Small pictures for a reference folder: one strip per entry and artist, and one per attack."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from cloakbench.files import write_whole
from cloakbench.store.paths import PICTURES, StorePaths
from cloakbench.store.reading import load
from cloakbench_leaderboards.board.board import view
from cloakbench_leaderboards.pages.strips import by_artist, of_attack
from cloakbench_leaderboards.parts.lookup import Lookup
from cloakbench_leaderboards.parts.pictures import MOSAIC, PictureFinder
from cloakbench_leaderboards.scores.evidence import gather

TOTAL = 1_500_000
"""Bytes of all pictures of a reference folder together."""
_NAME = re.compile(r"[0-9a-f]{32}-[A-Za-z0-9._-]+\.webp")


def ship(source: Path, suite: str | None, folder: Path) -> int:
    """Writes the pictures of a store's strips to `folder/pictures`, in place of those of an earlier call.

    Args:
        source: The store of a run. Records without stored images ship no picture.
        suite: Which suite, where the store holds several.
        folder: The reference folder.

    Returns:
        How many pictures there are.
    """
    evidence = gather(load(source, suite))
    lookup = Lookup(evidence, view(evidence))
    strips = max(len(lookup.entries), 1) * max(len(evidence.artists), 1)
    shared = len(evidence.artists) * (1 + MOSAIC) + len(lookup.attacks) * (2 + 2 * MOSAIC)
    allowance = TOTAL // (strips * (1 + MOSAIC) + shared + 1)
    finder = PictureFinder(StorePaths(source), allowance)
    if not finder.has_any:
        return 0
    sources: set[str] = set()
    for entry in lookup.entries:
        for pictures in by_artist(lookup, finder, entry, evidence.rank_attack).values():
            sources.update(picture.source for picture in pictures)
    for spec in lookup.attacks:
        _, pictures = of_attack(lookup, finder, spec)
        sources.update(picture.source for picture in pictures)
    _remove_others(folder / PICTURES, {PurePosixPath(path).name for path in sources})
    for path in sorted(sources):
        write_whole(folder / PICTURES / PurePosixPath(path).name, finder.files[path].read())
    return len(sources)


def _remove_others(folder: Path, names: set[str]) -> None:
    """Removes pictures that an earlier call wrote and this one does not; other files of the folder stay."""
    if folder.is_dir():
        for file in folder.iterdir():
            if _NAME.fullmatch(file.name) and file.name not in names:
                file.unlink()
