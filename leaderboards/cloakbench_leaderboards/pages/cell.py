"""The page behind a number: one protection against one attack, artist by artist, with all evidence."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cloakbench.schemas.kinds import Status
from cloakbench.schemas.record import Record
from cloakbench.schemas.suite import AttackSpec
from cloakbench_leaderboards import text
from cloakbench_leaderboards.board import editing, sections
from cloakbench_leaderboards.board.tables import (
    Table,
)
from cloakbench_leaderboards.board.view import GapView, Pair
from cloakbench_leaderboards.pages import cell_tables
from cloakbench_leaderboards.pages.attack import gap_view
from cloakbench_leaderboards.pages.strips import cell_strip
from cloakbench_leaderboards.parts import addresses, commands, costs, recipes
from cloakbench_leaderboards.parts.lookup import Lookup
from cloakbench_leaderboards.parts.page import Asset, Crumb, Page
from cloakbench_leaderboards.parts.pictures import Picture, PictureFinder, share
from cloakbench_leaderboards.scores.evidence import BoardEntry

NO_IMAGES = (
    "There are no images here: the records come from a reference folder without pictures. "
    "A board built from a store shows them; the command below makes one."
)
TRACEBACK_LINES = 40
Strip = tuple[Picture, ...]
ShownRecord = tuple[Record, Strip]
"""A record with its pictures."""


@dataclass(frozen=True, slots=True)
class CellPoint:
    """One cell: an artist at an operating point."""

    label: str
    anchor: str
    strip: Strip
    command: str
    key: str
    cost: str
    is_ok: bool
    status: str
    reason: str
    traceback: str
    provenance: tuple[Pair, ...]


@dataclass(frozen=True, slots=True)
class ArtistView:
    """All cells of one artist."""

    name: str
    anchor: str
    no_signal: str
    """Why the attack learned nothing from the artist; empty where it did."""
    points: tuple[CellPoint, ...]


@dataclass(frozen=True, slots=True)
class CellPage:
    """The content of the page."""

    protection: Pair
    """Label and page."""
    attack: Pair
    chain: str
    compare: str
    command: str
    """Runs all cells of the page."""
    table: Table
    """Over artists."""
    cells: Table
    """Artist by artist."""
    artists: tuple[ArtistView, ...]
    no_images: str
    gaps: tuple[GapView, ...]
    shared: tuple[Pair, ...]
    """Facts that the records of all cells have in common."""


def pages(lookup: Lookup, pictures: PictureFinder) -> Iterator[Page | Asset]:
    """Yields a page for every protection and attack with a record, then the files of their pictures."""
    for entry in lookup.entries:
        crumbs = (Crumb("Protections", addresses.PROTECTIONS), Crumb(entry.label, addresses.protection(entry.name)))
        for spec in lookup.attacks:
            if (entry.name, spec.name) not in lookup.records:
                continue
            context = {"it": view(lookup, pictures, entry, spec)}
            path, title = addresses.cell(entry.name, spec.name), f"{entry.label} against {text.name(spec.name)}"
            yield Page(path, "cell.html", title, context, addresses.PROTECTIONS, crumbs)
    yield from pictures.files.values()


def allowance(lookup: Lookup) -> int:
    """Returns the bytes that one image may have, so that the largest page keeps to its weight."""
    most = max((len(records) for records in lookup.records.values()), default=1)
    return share(most, len(lookup.evidence.artists))


def view(lookup: Lookup, pictures: PictureFinder, entry: BoardEntry, spec: AttackSpec) -> CellPage:
    """Returns the content of the page of a protection and an attack."""
    records = _ordered(lookup, lookup.records[entry.name, spec.name])
    strips = _strips(lookup, pictures, records)
    shown = list(zip(records, strips, strict=True))
    common = recipes.shared([recipes.facts(record) for record in records])
    has_images = any(picture.source for picture in itertools.chain(*strips))
    has_rank = entry.name in lookup.evidence.standings.places
    gaps = lookup.gaps.get((entry.name, spec.name), [])
    return CellPage(
        protection=Pair(entry.label, addresses.protection(entry.name)),
        attack=Pair(text.name(spec.name), addresses.attack(spec.name)),
        chain=sections.chain(spec, editing.COMPARE_STAGE if lookup.is_edit(spec) else "generate"),
        compare=addresses.comparison(entry.name) if has_rank else "",
        command=_command(lookup, entry, spec),
        table=cell_tables.over_artists(lookup, entry, spec),
        cells=cell_tables.by_cell(lookup, spec, records),
        artists=tuple(_artists(lookup, spec, shown, common)),
        no_images="" if has_images else NO_IMAGES,
        gaps=tuple(gap_view(gap, gap.attack) for gap in gaps),
        shared=recipes.pairs(common, {}),
    )


def _ordered(lookup: Lookup, records: Sequence[Record]) -> list[Record]:
    names = lookup.evidence.artists

    def order(record: Record) -> tuple[int, str, float, float]:
        position = names.index(record.artist) if record.artist in names else len(names)
        return (position, record.artist, record.strength, -1.0 if not record.target else record.target)

    return sorted(records, key=order)


def _artists(
    lookup: Lookup, spec: AttackSpec, shown: Sequence[ShownRecord], common: dict[str, str]
) -> Iterator[ArtistView]:
    by_artist: dict[str, list[CellPoint]] = {}
    for record, strip in shown:
        provenance = recipes.pairs(recipes.facts(record), common)
        by_artist.setdefault(record.artist, []).append(_point(lookup, record, strip, provenance))
    for number, (artist, points) in enumerate(by_artist.items(), start=1):
        reason = text.plain(lookup.no_signal(spec).get(artist, ""))
        yield ArtistView(text.name(artist), f"artist-{number}", reason, tuple(points))


def _strips(lookup: Lookup, pictures: PictureFinder, records: Sequence[Record]) -> list[Strip]:
    if not pictures.has_any:
        return [()] * len(records)
    return [cell_strip(lookup, pictures, record) for record in records]


def _command(lookup: Lookup, entry: BoardEntry, spec: AttackSpec) -> str:
    suite, salt = lookup.evidence.suite, lookup.evidence.records[0].salt_digest
    only = (f"protection={entry.name}", f"attack={spec.name}", "seed=0")
    return commands.run(suite, salt, entry.facts, *only)


def _point(lookup: Lookup, record: Record, strip: Strip, provenance: tuple[Pair, ...]) -> CellPoint:
    traceback = []
    for line in record.traceback.splitlines()[-TRACEBACK_LINES:]:
        traceback.append(text.plain(line, 400))
    return CellPoint(
        label=cell_tables.label(record),
        anchor=cell_tables.anchor(record),
        strip=strip,
        command=commands.cell(lookup.evidence.suite, record),
        key=record.key,
        cost=costs.words(record.cost),
        is_ok=record.status is Status.OK,
        status=str(record.status),
        reason=text.plain(record.reason),
        traceback="\n".join(traceback),
        provenance=provenance,
    )
