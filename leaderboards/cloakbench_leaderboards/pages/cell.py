"""The page behind a number: one protection against one attack, artist by artist, with all evidence."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from cloakbench.schemas.record import Record, Status
from cloakbench.schemas.suite import AttackSpec
from cloakbench_leaderboards import text
from cloakbench_leaderboards.board import sections
from cloakbench_leaderboards.board.editing import metric_cell
from cloakbench_leaderboards.board.equal_strength import metric_column
from cloakbench_leaderboards.board.grid import HeadedRow, HeadedTable
from cloakbench_leaderboards.board.tables import TableCell, TableColumn, estimate_cell
from cloakbench_leaderboards.board.view import GapView, Pair
from cloakbench_leaderboards.data import coverage
from cloakbench_leaderboards.parts import addresses, commands, costs, recipes
from cloakbench_leaderboards.parts.later import LazyView, recipe
from cloakbench_leaderboards.parts.lookup import Lookup
from cloakbench_leaderboards.parts.page import Asset, Crumb, Page
from cloakbench_leaderboards.parts.pictures import Picture, PictureFinder, share
from cloakbench_leaderboards.scores import statistics
from cloakbench_leaderboards.scores.evidence import BoardEntry

NO_IMAGES = (
    "There are no images here: the records come from a reference folder, which holds none. "
    "A board built from a store shows them; the command below makes one."
)
Strip = tuple[Picture, ...]


@dataclass(frozen=True, slots=True)
class CellPoint:
    """One cell: an artist at an operating point."""

    label: str
    anchor: str
    strip: Strip
    command: str
    key: str
    cost: str
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
    """What the page says."""

    protection: Pair
    """Label and page."""
    attack: Pair
    chain: str
    compare: str
    command: str
    """Runs all cells of the page."""
    table: HeadedTable
    """Over artists."""
    cells: HeadedTable
    """Artist by artist."""
    artists: tuple[ArtistView, ...]
    no_images: str
    gaps: tuple[GapView, ...]
    shared: tuple[Pair, ...]
    """What the records of all cells say alike."""


def pages(look: Lookup, pictures: PictureFinder) -> Iterator[Page | Asset]:
    """Yields a page for every protection and attack with a record, then the files of their pictures."""
    for entry in look.entries:
        crumbs = (Crumb("Protections", addresses.PROTECTIONS), Crumb(entry.label, addresses.protection(entry.name)))
        for spec in look.attacks:
            records = look.records.get((entry.name, spec.name))
            if not records:
                continue
            records = sorted(records, key=lambda each: (_order(look, each.artist), each.strength, each.target or -1.0))
            strips = _strips(look, pictures, records)
            made = LazyView(
                recipe(look.basis, look.traces[entry.name], strips),
                partial(view, look, entry, spec, list(zip(records, strips, strict=True))),
            )
            path, title = addresses.cell(entry.name, spec.name), f"{entry.label} against {text.name(spec.name)}"
            yield Page(path, "cell.html", title, {"made": made}, addresses.PROTECTIONS, crumbs)
    yield from pictures.files.values()


def allowance(look: Lookup) -> int:
    """Returns the bytes that one image may have, so that the largest page keeps to its weight."""
    most = max((len(records) for records in look.records.values()), default=1)
    return share(most, len(look.evidence.artists))


def view(look: Lookup, entry: BoardEntry, spec: AttackSpec, cells: Sequence[tuple[Record, Strip]]) -> CellPage:
    """Returns what the page of a protection and an attack says."""
    records = [record for record, _ in cells]
    known = [recipes.facts(record) for record in records]
    common = recipes.shared(known)
    places = {record.key: n for n, (record, _) in enumerate(cells)}
    artists = dict.fromkeys(record.artist for record in records)
    return CellPage(
        protection=Pair(entry.label, addresses.protection(entry.name)),
        attack=Pair(text.name(spec.name), addresses.attack(spec.name)),
        chain=sections.chain(spec, "compare with the clean edit" if look.is_edit(spec) else "generate"),
        compare=addresses.comparison(entry.name) if entry.name in look.evidence.standings.places else "",
        command=_command(look, entry, spec),
        table=_table(look, entry, spec),
        cells=_cells(look, spec, records),
        artists=tuple(
            ArtistView(
                text.name(artist),
                f"artist-{number}",
                text.plain(look.no_signal(spec).get(artist, "")),
                tuple(
                    _point(look, record, strip, recipes.pairs(known[places[record.key]], common))
                    for record, strip in cells
                    if record.artist == artist
                ),
            )
            for number, artist in enumerate(artists, start=1)
        ),
        no_images="" if any(picture.source for _, strip in cells for picture in strip) else NO_IMAGES,
        gaps=tuple(
            GapView(text.name(gap.attack), coverage.where(gap), gap.status, text.plain(gap.reason))
            for gap in look.gaps.get((entry.name, spec.name), [])
        ),
        shared=recipes.pairs(common, {}),
    )


def _order(look: Lookup, artist: str) -> tuple[int, str]:
    names = look.evidence.artists
    return (names.index(artist) if artist in names else len(names), artist)


def _strips(look: Lookup, pictures: PictureFinder, records: Sequence[Record]) -> list[Strip]:
    if not pictures.has_any:
        return [()] * len(records)
    found = []
    for record in records:
        attack = record.attack
        clean = look.clean.get((record.artist, attack.name))
        floor = look.floor.get((record.artist, attack.mimicry, attack.model))
        found.append(pictures.strip(record, clean, floor, look.unprotected.get(record.artist)))
    return found


def _command(look: Lookup, entry: BoardEntry, spec: AttackSpec) -> str:
    suite, salt = look.evidence.suite, look.evidence.records[0].salt_digest
    only = (f"protection={entry.name}", f"attack={spec.name}", "seed=0")
    return commands.run(suite, salt, entry.facts, *only)


def _point(look: Lookup, record: Record, strip: Strip, provenance: tuple[Pair, ...]) -> CellPoint:
    return CellPoint(
        label=_label(record),
        anchor=f"cell-{record.key[:12]}",
        strip=strip,
        command=commands.cell(look.evidence.suite, record),
        key=record.key,
        cost=costs.words(record.cost),
        status=str(record.status),
        reason=text.plain(record.reason),
        traceback="\n".join(text.plain(line, 400) for line in record.traceback.splitlines()[-40:]),
        provenance=provenance,
    )


def _label(record: Record) -> str:
    if record.protection.role in ("identity", "placebo"):
        return record.protection.role
    at = f"strength {record.strength:g}"
    return at if record.target is None else f"{at}, sought for {record.target:g}"


def _table(look: Lookup, entry: BoardEntry, spec: AttackSpec) -> HeadedTable:
    """Returns one row an operating point: every metric as its mean over artists with its interval."""
    evidence, chosen = look.evidence, look.evidence.suite.metrics
    is_edit = look.is_edit(spec)
    metrics = chosen.edit if is_edit else list(dict.fromkeys([chosen.primary, *chosen.generation, *chosen.sets]))
    lines = []
    for strength in entry.strengths:
        scores = () if is_edit else sections.scores(evidence, entry, strength, spec.name)
        raw = [
            metric_cell(evidence, entry, strength, (spec.name, name))
            if is_edit
            else _estimate(evidence.raw.get((entry.name, strength, spec.name, name)))
            for name in metrics
        ]
        quality = [_estimate(evidence.quality.get((entry.name, strength, name))) for name in chosen.quality]
        at = sections.strength_cell(entry, strength)
        lines.append(HeadedRow(at.text, "", at.detail, entry.is_control, (*scores, *raw, *quality)))
    columns = (
        *(() if is_edit else (TableColumn("P", "", "↑"), TableColumn("Effect", "", "↑"))),
        *(metric_column(evidence, name) for name in (*metrics, *chosen.quality)),
    )
    few = statistics.too_few(len(evidence.artists))
    is_few = len(evidence.artists) < statistics.MIN_ARTISTS
    note = f"No intervals: {few}." if is_few else "The second line is the 95 % interval over artists."
    return HeadedTable("Over artists, all seeds", "Strength", columns, tuple(lines), (note,))


def _estimate(found: statistics.Estimate | None) -> TableCell:
    return TableCell(text.NONE, note="no measurement") if found is None else estimate_cell(found, found.reason)


def _cells(look: Lookup, spec: AttackSpec, records: Sequence[Record]) -> HeadedTable:
    """Returns one row a cell: every metric as its mean over the cell's images with its interval."""
    evidence, chosen = look.evidence, look.evidence.suite.metrics
    is_edit = look.is_edit(spec)
    names = chosen.edit if is_edit else list(dict.fromkeys([chosen.primary, *chosen.generation]))
    sets = [] if is_edit else chosen.sets
    means = [_means([record.generations.get(name, []) for record in records]) for name in names]
    quality = [_means([record.quality.get(name, []) for record in records]) for name in chosen.quality]
    lines = []
    for n, record in enumerate(records):
        own = look.artists.get((record.protection.name, record.strength, record.attack.name, record.artist))
        scores = (
            ()
            if is_edit
            else tuple(_value(each, own.reason if own else "no record") for each in (own or (math.nan,) * 2)[:2])
        )
        whole = [_value(record.sets.get(name, math.nan), _absent(record, name)) for name in sets]
        cells = [
            *scores,
            *(_filled(column[n], _absent(record, name)) for name, column in zip(names, means, strict=True)),
            *whole,
            *(_filled(column[n], _absent(record, name)) for name, column in zip(chosen.quality, quality, strict=True)),
        ]
        status = TableCell(
            str(record.status),
            kind="words" if record.status is Status.OK else "warning",
            note=text.plain(record.reason),
        )
        link = f"cell-{record.key[:12]}"
        lines.append(HeadedRow(text.name(record.artist), link, _label(record), False, (status, *cells)))
    columns = (
        TableColumn("Status", kind="words"),
        *(() if is_edit else (TableColumn("P", "all seeds", "↑"), TableColumn("Effect", "all seeds", "↑"))),
        *(metric_column(evidence, name) for name in (*names, *sets, *chosen.quality)),
    )
    note = (
        "The second line is the 95 % interval over the images of the cell: how exactly this cell is measured, not how "
        "artists differ. A metric of a whole set has one value a cell, so no interval."
    )
    return HeadedTable("Every cell of the first seed", "Artist", columns, tuple(lines), (note,))


def _means(values: Sequence[Sequence[float]]) -> list[TableCell]:
    longest = max((len(each) for each in values), default=0)
    if longest == 0:
        return [TableCell(text.NONE)] * len(values)
    padded = np.full((len(values), longest), math.nan)
    for row, each in enumerate(values):
        padded[row, : len(each)] = each
    found = statistics.estimates(padded)
    return [estimate_cell(found.at(row)) for row in range(len(values))]


def _filled(cell: TableCell, reason: str) -> TableCell:
    return cell if cell.value is not None else replace(cell, note=reason)


def _value(value: float, reason: str) -> TableCell:
    if not math.isfinite(value):
        return TableCell(text.NONE, note=text.plain(reason))
    return TableCell(text.number(value), float(f"{value:.10g}"), note=text.plain(reason))


def _absent(record: Record, metric: str) -> str:
    """Returns why a record lacks a metric."""
    return text.plain(record.skipped.get(metric) or record.reason or "not measured")
