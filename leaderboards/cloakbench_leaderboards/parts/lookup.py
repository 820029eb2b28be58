"""What many pages look up in the evidence, each table worked out once for the whole site."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from cloakbench.schemas.record import Record
from cloakbench.schemas.suite import AttackExplained, AttackSpec
from cloakbench_leaderboards import text
from cloakbench_leaderboards.board import curves
from cloakbench_leaderboards.board.tables import Table, TableCell, estimate_cell
from cloakbench_leaderboards.board.view import Board, TradeOffCurve
from cloakbench_leaderboards.data.coverage import Gap
from cloakbench_leaderboards.parts.later import recipe
from cloakbench_leaderboards.scores.evidence import BoardEntry, Evidence
from cloakbench_leaderboards.scores.scores import ScoredPoint

Pair = tuple[str, str]
"""Protection, attack."""


def trace(records: Sequence[Record]) -> list[tuple[str, str, str]]:
    """Returns what tells records from others: nothing in one changes after it is written."""
    return [(each.key, each.environment.env_class, each.created) for each in records]


class ArtistPoint(NamedTuple):
    """P and effect of one artist at one operating point."""

    p: float
    effect: float
    reason: str
    """Why there is none, or what went wrong in a part of it."""


@dataclass(frozen=True)
class Lookup:
    """The evidence by the questions that pages ask."""

    evidence: Evidence
    board: Board

    @cached_property
    def entries(self) -> list[BoardEntry]:
        """The entries with pages of their own: all but the floor, which no attack ever touches."""
        return [entry for entry in self.evidence.entries if entry.facts.role != "floor"]

    @cached_property
    def attacks(self) -> list[AttackSpec]:
        """Every attack, those that edit last."""
        return [*self.evidence.ranked, *self.evidence.edits]

    @cached_property
    def explained(self) -> Mapping[str, AttackExplained]:
        """What an attack is, in words, by name."""
        return {each.name: each for each in self.evidence.facts.attacks}

    @cached_property
    def own(self) -> Mapping[str, list[Record]]:
        """All records by protection."""
        found: dict[str, list[Record]] = {}
        for each in self.evidence.records:
            found.setdefault(each.protection.name, []).append(each)
        return found

    @cached_property
    def basis(self) -> str:
        """A digest of what all numbers rest on: the suite's facts, and every control's records."""
        controls = [trace(self.own[entry.name]) for entry in self.evidence.entries if entry.is_control]
        return recipe(self.evidence.facts, self.evidence.artists, controls)

    @cached_property
    def traces(self) -> Mapping[str, str]:
        """A digest of each protection's records: with `basis`, all that its numbers follow from."""
        return {name: recipe(trace(records)) for name, records in self.own.items()}

    @cached_property
    def records(self) -> Mapping[Pair, list[Record]]:
        """The cells of the first seed that have a page."""
        found: dict[Pair, list[Record]] = {}
        for each in self.evidence.records:
            if each.seed == 0 and each.protection.role != "floor":
                found.setdefault((each.protection.name, each.attack.name), []).append(each)
        return found

    @cached_property
    def clean(self) -> Mapping[tuple[str, str], Record]:
        """The clean arm of the first seed by artist and attack."""
        return {
            (each.artist, each.attack.name): each
            for each in self.evidence.records
            if each.seed == 0 and each.protection.role == "identity"
        }

    @cached_property
    def unprotected(self) -> Mapping[str, Record]:
        """A cell of the first seed with the artist's images as they are, by artist."""
        return {artist: record for (artist, _), record in reversed([*self.clean.items()])}

    @cached_property
    def floor(self) -> Mapping[tuple[str, str, str], Record]:
        """The floor of the first seed by artist, mimicry and model."""
        return {
            (each.artist, each.attack.mimicry, each.attack.model): each
            for each in self.evidence.records
            if each.seed == 0 and each.protection.role == "floor"
        }

    @cached_property
    def artists(self) -> Mapping[tuple[str, float, str, str], ArtistPoint]:
        """P and effect by protection, strength, attack and artist."""
        columns = ["protection", "strength", "attack", "artist", "p", "effect", "reason"]
        rows = self.evidence.scores.points[columns].itertuples(index=False, name=None)
        return {row[:4]: ArtistPoint(*row[4:]) for row in rows}

    @cached_property
    def gaps(self) -> Mapping[Pair, list[Gap]]:
        """What is not there, by protection and attack."""
        found: dict[Pair, list[Gap]] = {}
        for gap in self.evidence.gaps:
            found.setdefault((gap.protection, gap.attack), []).append(gap)
        return found

    @cached_property
    def span(self) -> tuple[float, float]:
        """The P axis that all plots share."""
        return curves.span(self.evidence)

    @cached_property
    def tables(self) -> Mapping[str, Table]:
        """The numbers of the board by attack, those that edit among them."""
        edited = self.board.editing.attacks if self.board.editing else ()
        tables = [section.table for section in self.board.attacks] + [section.table for section in edited]
        return {spec.name: table for spec, table in zip(self.attacks, tables, strict=True)}

    @cached_property
    def quality(self) -> Mapping[tuple[str, float], tuple[TableCell, ...]]:
        """Every quality metric by protection and strength: no attack changes it."""
        found, names = self.evidence.quality, self.evidence.suite.metrics.quality
        return {
            (entry.name, strength): tuple(
                estimate_cell(found[place])
                if (place := (entry.name, strength, name)) in found
                else TableCell(text.NONE)
                for name in names
            )
            for entry in self.evidence.entries
            for strength in entry.strengths
        }

    @cached_property
    def trade_offs(self) -> Mapping[str, TradeOffCurve | None]:
        """P over the metric that entries are matched by, one curve an attack."""
        return {spec.name: each.curve for spec, each in zip(self.evidence.ranked, self.board.attacks, strict=True)}

    def point(self, entry: BoardEntry, strength: float, attack: str) -> ScoredPoint | None:
        """Returns an operating point under an attack, None where there is no record of it."""
        return self.evidence.scores.summary.get((entry.name, strength, attack))

    @cached_property
    def _silent(self) -> Mapping[tuple[str, str], Mapping[str, str]]:
        found: dict[tuple[str, str], dict[str, str]] = {}
        for each in self.evidence.scores.signals:
            if each.reason:
                found.setdefault((each.mimicry, each.model), {})[each.artist] = each.reason
        return found

    @cached_property
    def _edits(self) -> frozenset[str]:
        return frozenset(spec.name for spec in self.evidence.edits)

    def is_edit(self, spec: AttackSpec) -> bool:
        """Returns whether an attack edits images, so that no score is made of it."""
        return spec.name in self._edits

    def no_signal(self, spec: AttackSpec) -> Mapping[str, str]:
        """Returns the artists from whom an attack did not learn, with the reason."""
        return {} if self.is_edit(spec) else self._silent.get((spec.mimicry, spec.model), {})

    def focus(self, entry: BoardEntry) -> float:
        """Returns the strength that a page shows first: where most artists have a P, of these the middle one."""
        attacks = [spec.name for spec in self.evidence.ranked]

        def order(strength: float) -> tuple[int, float]:
            points = [self.evidence.scores.summary.get((entry.name, strength, name)) for name in attacks]
            return (-sum(point.p.n for point in points if point), abs(strength - self.evidence.middle))

        return min(entry.strengths, key=order, default=self.evidence.middle)

    def strongest(self, entry: BoardEntry, strength: float) -> list[tuple[AttackSpec, ScoredPoint | None]]:
        """Returns the attacks with the point that they leave, the least P first, those without a number last."""
        pairs = [(spec, self.point(entry, strength, spec.name)) for spec in self.evidence.ranked]

        def order(pair: tuple[AttackSpec, ScoredPoint | None]) -> float:
            point = pair[1]
            return point.p.value if point and math.isfinite(point.p.value) else math.inf

        return sorted(pairs, key=order)
