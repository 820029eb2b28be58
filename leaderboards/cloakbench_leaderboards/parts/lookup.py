"""Tables that many pages look up in the evidence, each computed once for the whole site."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from cloakbench.schemas.kinds import Role
from cloakbench.schemas.record import Record
from cloakbench.schemas.suite import AttackExplained, AttackSpec
from cloakbench_leaderboards import text
from cloakbench_leaderboards.board import curves
from cloakbench_leaderboards.board.equal_strength import bounded_cell
from cloakbench_leaderboards.board.tables import Table, TableCell
from cloakbench_leaderboards.board.view import Board, TradeOffCurve
from cloakbench_leaderboards.data.coverage import Gap
from cloakbench_leaderboards.parts import addresses
from cloakbench_leaderboards.scores.evidence import BoardEntry, Evidence
from cloakbench_leaderboards.scores.scores import ScoredPoint
from cloakbench_leaderboards.scores.signal import Signal

CellAddress = tuple[str, str]
"""Protection, attack."""


class ArtistPoint(NamedTuple):
    """P and effect of one artist at one operating point."""

    p: float
    effect: float
    reason: str
    """Why there is no score, or what went wrong in a part of it."""


@dataclass(frozen=True)
class Lookup:
    """Look-ups of the evidence that several pages need."""

    evidence: Evidence
    board: Board

    @cached_property
    def entries(self) -> list[BoardEntry]:
        """The entries with pages of their own: all but the floor, which no attack ever touches."""
        return [entry for entry in self.evidence.entries if entry.facts.role != Role.FLOOR]

    @cached_property
    def attacks(self) -> list[AttackSpec]:
        """Every attack, those that edit last."""
        return [*self.evidence.ranked, *self.evidence.edits]

    @cached_property
    def explained(self) -> Mapping[str, AttackExplained]:
        """The explanation of each attack by name."""
        return self.evidence.explained

    @cached_property
    def own(self) -> Mapping[str, list[Record]]:
        """All records by protection."""
        by_protection: dict[str, list[Record]] = {}
        for record in self.evidence.records:
            by_protection.setdefault(record.protection.name, []).append(record)
        return by_protection

    @cached_property
    def first_seed(self) -> list[Record]:
        """The records of the first seed."""
        return [record for record in self.evidence.records if record.seed == 0]

    @cached_property
    def records(self) -> Mapping[CellAddress, list[Record]]:
        """The cells of the first seed that have a page."""
        by_address: dict[CellAddress, list[Record]] = {}
        for record in self.first_seed:
            if record.protection.role != Role.FLOOR:
                by_address.setdefault((record.protection.name, record.attack.name), []).append(record)
        return by_address

    @cached_property
    def clean(self) -> Mapping[tuple[str, str], Record]:
        """The clean arm of the first seed by artist and attack."""
        records = {}
        for record in self.first_seed:
            if record.protection.role == Role.IDENTITY:
                records[record.artist, record.attack.name] = record
        return records

    @cached_property
    def unprotected(self) -> Mapping[str, Record]:
        """A cell of the first seed with the artist's unchanged images, by artist."""
        newest = {}
        for (artist, _), record in reversed([*self.clean.items()]):
            newest[artist] = record
        return newest

    @cached_property
    def floor(self) -> Mapping[tuple[str, str, str], Record]:
        """The floor of the first seed by artist, mimicry and model."""
        records = {}
        for record in self.first_seed:
            if record.protection.role == Role.FLOOR:
                records[record.artist, record.attack.mimicry, record.attack.model] = record
        return records

    @cached_property
    def artists(self) -> Mapping[tuple[str, float, str, str], ArtistPoint]:
        """P and effect by protection, strength, attack and artist."""
        columns = ["protection", "strength", "attack", "artist", "p", "effect", "reason"]
        rows = self.evidence.scores.points[columns].itertuples(index=False, name=None)
        points = {}
        for row in rows:
            points[row[:4]] = ArtistPoint(*row[4:])
        return points

    @cached_property
    def gaps(self) -> Mapping[CellAddress, list[Gap]]:
        """Missing measurements by protection and attack."""
        by_address: dict[CellAddress, list[Gap]] = {}
        for gap in self.evidence.gaps:
            by_address.setdefault((gap.protection, gap.attack), []).append(gap)
        return by_address

    @cached_property
    def span(self) -> tuple[float, float]:
        """The P axis that all plots share."""
        return curves.span(self.evidence)

    @cached_property
    def tables(self) -> Mapping[str, Table]:
        """The numbers of the board by attack, those that edit among them."""
        tables = [section.table for section in self.board.attacks]
        if self.board.editing:
            for section in self.board.editing.attacks:
                tables.append(section.table)
        return {spec.name: table for spec, table in zip(self.attacks, tables, strict=True)}

    @cached_property
    def quality(self) -> Mapping[tuple[str, float], tuple[TableCell, ...]]:
        """Every quality metric by protection and strength: no attack changes it."""
        cells = {}
        for entry in self.evidence.entries:
            for strength in entry.strengths:
                cells[entry.name, strength] = tuple(self._quality(entry, strength))
        return cells

    def _quality(self, entry: BoardEntry, strength: float) -> list[TableCell]:
        cells = []
        for name in self.evidence.suite.metrics.quality:
            estimate = self.evidence.quality.get((entry.name, strength, name))
            cells.append(TableCell(text.NONE) if estimate is None else bounded_cell(self.evidence, name, estimate))
        return cells

    @cached_property
    def trade_offs(self) -> Mapping[str, TradeOffCurve | None]:
        """P over the metric that entries are matched by, one curve per attack."""
        sections = zip(self.evidence.ranked, self.board.attacks, strict=True)
        return {spec.name: section.curve for spec, section in sections}

    def point(self, entry: BoardEntry, strength: float, attack: str) -> ScoredPoint | None:
        """Returns an operating point under an attack, None where there is no record of it."""
        return self.evidence.scores.summary.get((entry.name, strength, attack))

    @cached_property
    def _reasons(self) -> Mapping[tuple[str, str], Mapping[str, str]]:
        """Why a mimicry has no score on an artist, by mimicry and model."""
        by_arm: dict[tuple[str, str], dict[str, str]] = {}
        for signal in self.evidence.scores.signals:
            if signal.reason:
                by_arm.setdefault((signal.mimicry, signal.model), {})[signal.artist] = signal.reason
        return by_arm

    @cached_property
    def _edits(self) -> frozenset[str]:
        return frozenset(spec.name for spec in self.evidence.edits)

    def is_edit(self, spec: AttackSpec) -> bool:
        """Returns whether an attack edits images, so that no score is made of it."""
        return spec.name in self._edits

    def no_signal(self, spec: AttackSpec) -> Mapping[str, str]:
        """Returns the artists on whom an attack is not scored, with the reason."""
        return {} if self.is_edit(spec) else self._reasons.get((spec.mimicry, spec.model), {})

    def not_learned(self, spec: AttackSpec) -> Sequence[str]:
        """Returns the artists on whom the attack was tested and learned nothing."""
        artists = []
        for signal in self._signals(spec):
            if signal.is_tested and not signal.has_signal:
                artists.append(signal.artist)
        return artists

    def learned_words(self, spec: AttackSpec) -> str:
        """Returns the number of artists that an attack learned from, of those on whom it was tested."""
        signals = self._signals(spec)
        tested = sum(signal.is_tested for signal in signals)
        if not tested:
            return "not run yet"
        words = f"{sum(signal.has_signal for signal in signals)} of {tested}"
        return words if tested == len(signals) else f"{words}; {len(signals) - tested} not run yet"

    def _signals(self, spec: AttackSpec) -> Sequence[Signal]:
        arm = (spec.mimicry, spec.model)
        return [signal for signal in self.evidence.scores.signals if (signal.mimicry, signal.model) == arm]

    def cell_link(self, entry: BoardEntry, spec: AttackSpec) -> str:
        """Returns the page behind a number; empty where there is no record."""
        return addresses.cell(entry.name, spec.name) if (entry.name, spec.name) in self.records else ""

    def focus(self, entry: BoardEntry) -> float:
        """Returns the strength that a page shows first: of those where most artists have a P the calibrated one.

        Without a calibrated strength it is the one nearest to the middle.
        """

        def order(strength: float) -> tuple[int, bool, float]:
            scored = 0
            for spec in self.evidence.ranked:
                point = self.point(entry, strength, spec.name)
                scored += point.p.n if point else 0
            is_fixed = strength not in entry.subject.calibrated_strengths
            return (-scored, is_fixed, abs(strength - self.evidence.middle))

        return min(entry.strengths, key=order, default=self.evidence.middle)

    def strongest(self, entry: BoardEntry, strength: float) -> list[tuple[AttackSpec, ScoredPoint | None]]:
        """Returns the attacks with the point that they leave, the least P first, those without a number last."""
        pairs = []
        for spec in self.evidence.ranked:
            pairs.append((spec, self.point(entry, strength, spec.name)))
        return sorted(pairs, key=_remaining)


def _remaining(pair: tuple[AttackSpec, ScoredPoint | None]) -> float:
    point = pair[1]
    return point.p.value if point and math.isfinite(point.p.value) else math.inf
