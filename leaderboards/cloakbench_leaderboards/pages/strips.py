"""Strips of pictures: those of one cell, and one per artist at the top of a page."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter

from cloakbench.schemas.record import Record
from cloakbench.schemas.suite import AttackSpec
from cloakbench_leaderboards import text
from cloakbench_leaderboards.parts.lookup import Lookup
from cloakbench_leaderboards.parts.pictures import Picture, PictureFinder
from cloakbench_leaderboards.scores.evidence import BoardEntry

OVERVIEW = (0, 1, 4, 5)
"""Pictures of a cell that show an entry: original, protected, imitation of the original, imitation of protected."""
CLEANING = (1, 3, 4, 5)
"""Those that show a countermeasure: protected, cleaned, imitation of the original, imitation of protected."""


def cell_strip(lookup: Lookup, pictures: PictureFinder, record: Record) -> tuple[Picture, ...]:
    """Returns the pictures of one cell beside those of its clean arm and of the floor."""
    attack = record.attack
    clean = lookup.clean.get((record.artist, attack.name))
    floor = lookup.floor.get((record.artist, attack.mimicry, attack.model))
    return pictures.strip(record, clean, floor, lookup.unprotected.get(record.artist))


def by_artist(
    lookup: Lookup, pictures: PictureFinder, entry: BoardEntry, attack: str, kinds: Sequence[int] = OVERVIEW
) -> dict[str, list[Picture]]:
    """Returns one strip per artist of an entry under an attack, at a calibrated strength or else the greatest.

    Args:
        lookup: The evidence.
        pictures: Finds the pictures, and notes their files.
        entry: The entry.
        attack: Name of the attack.
        kinds: Positions of the pictures in the strip of a cell. An artist of whom one is missing has no strip.
    """
    strips: dict[str, list[Picture]] = {}
    if not pictures.has_any:
        return strips
    records = lookup.records.get((entry.name, attack), [])
    for record in sorted(records, key=lambda record: (record.target is None, -record.strength)):
        if record.artist in strips:
            continue
        strip = cell_strip(lookup, pictures, record)
        shown = list(itemgetter(*kinds)(strip))
        if all(picture.source for picture in shown):
            strips[record.artist] = shown
    return strips


def overview(lookup: Lookup, pictures: PictureFinder, entry: BoardEntry) -> dict[str, list[dict[str, str]]]:
    """Returns the strips of an entry without cleaning, by artist, as a page's script reads them."""
    artists = {}
    for artist, shown in by_artist(lookup, pictures, entry, lookup.evidence.rank_attack).items():
        views = []
        for picture in shown:
            views.append({"label": picture.label, "source": picture.source, "words": picture.words})
        artists[text.name(artist)] = views
    return artists


def of_attack(lookup: Lookup, pictures: PictureFinder, spec: AttackSpec) -> tuple[str, list[Picture]]:
    """Returns a caption and the pictures of one cell under an attack: of the first entry and artist that have all.

    Both are empty where the source holds no such pictures.
    """
    kinds = OVERVIEW if spec.countermeasure is None else CLEANING
    for entry in sorted(lookup.entries, key=lambda entry: entry.is_control):
        if entry.facts.role.changes_images:
            for artist, strip in by_artist(lookup, pictures, entry, spec.name, kinds).items():
                return f"{entry.label}, artist {artist}", strip
    return "", []
