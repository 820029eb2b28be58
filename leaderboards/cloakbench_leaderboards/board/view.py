"""The view-model: the content of the pages as numbers with their text; `board.json` is its serialisation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from cloakbench_leaderboards.board.tables import Interval, Table
from cloakbench_leaderboards.scores.gold import GoldVerdict


class Measure(StrEnum):
    """The quantity on the vertical axis of a trade-off curve."""

    PROTECTION = "P"
    EFFECT = "effect"
    DISTANCE = "distance"
    """The suite's primary distance, in its own unit."""


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One operating point on a trade-off curve."""

    strength: float
    x: float
    y: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class CurveSeries:
    """One protection's curve."""

    label: str
    is_control: bool
    points: tuple[CurvePoint, ...]


@dataclass(frozen=True, slots=True)
class TradeOffCurve:
    """The trade-off against one attack: loss of image quality against loss of the imitation."""

    title: str
    measure: Measure
    x_label: str
    x_reversed: bool
    """Whether the metric falls where the protection gets more visible."""
    y_label: str
    y_low: float
    y_high: float
    series: tuple[CurveSeries, ...]
    alternative: str
    """The plot in words."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A label with its explanation."""

    label: str
    words: str


def pairs(words: Mapping[str, str]) -> tuple[Pair, ...]:
    """Returns the explanations as pairs, by their labels."""
    return tuple(Pair(label, explanation) for label, explanation in words.items())


@dataclass(frozen=True, slots=True)
class AttackSection:
    """One attack: what the mimic does, how protections fare."""

    anchor: str
    name: str
    summary: str
    chain: str
    """Countermeasure, mimicry and base model in one line."""
    settings: tuple[Pair, ...]
    curve: TradeOffCurve | None
    """P over the metric that entries are matched by."""
    more_curves: tuple[TradeOffCurve, ...]
    """Other trade-offs of the same attack."""
    no_curve: str
    """Why there is no curve; empty where there is one."""
    table: Table


@dataclass(frozen=True, slots=True)
class EditSection:
    """One attack that edits images: what the mimic does, how much of the edit protections left."""

    anchor: str
    name: str
    summary: str
    chain: str
    settings: tuple[Pair, ...]
    table: Table


@dataclass(frozen=True, slots=True)
class Editing:
    """Edits of single images, outside the ranking: the mimic learns nothing."""

    explanation: tuple[str, ...]
    attacks: tuple[EditSection, ...]


@dataclass(frozen=True, slots=True)
class ProtectionView:
    """Metadata of an entry."""

    label: str
    title: str
    is_control: bool
    version: str
    distribution: str
    paper: str
    """Web address, or empty."""
    paper_text: str
    licence: str
    budget: str
    deterministic: str
    settings: tuple[Pair, ...]
    """Parameters that follow the family of the suite's surrogate: name and value."""
    trust: str
    """`run by maintainers`, `reproduced in n environments` or `self-reported`."""
    evidence: str
    """The evidence for the trust, in words."""
    family: str
    """The name without parameters."""
    is_superseded: bool
    """Whether another entry of the same distribution was measured in a newer version."""
    flags: tuple[Pair, ...]
    """Caveats: the words in the table, and their meaning."""


@dataclass(frozen=True, slots=True)
class MetricView:
    """What a metric means."""

    name: str
    version: str
    kind: str
    unit: str
    better: str
    summary: str


@dataclass(frozen=True, slots=True)
class GapView:
    """Something that is missing, and why."""

    what: str
    where: str
    status: str
    reason: str


@dataclass(frozen=True, slots=True)
class PointView:
    """One protection at one strength against one attack."""

    protection: str
    strength: float
    attack: str
    artists: int
    p: Interval
    effect: Interval
    distance: Interval
    """The raw primary distance."""
    quality: dict[str, float]
    """Mean over artists by metric."""


@dataclass(frozen=True, slots=True)
class EntryView:
    """One number of one entry."""

    protection: str
    column: str
    estimate: Interval
    artists: int
    state: str
    """`calibrated`, `interpolated` or `measured`; else `over target`, `not reached`, `no signal`, `not defined` or
    `missing`."""
    gate: str
    """The quality metric that limits the entry before the matched one does; empty where none does."""
    note: str


@dataclass(frozen=True, slots=True)
class CheckView:
    """One condition of the gold run."""

    name: str
    verdict: GoldVerdict
    words: str


@dataclass(frozen=True, slots=True)
class GoldRun:
    """Whether the controls behave, so that the board is official."""

    verdict: GoldVerdict
    banner: str
    """Which conditions fail or are not known yet; empty where all hold."""
    checks: tuple[CheckView, ...]


@dataclass(frozen=True, slots=True)
class Board:
    """The leaderboard of exactly one suite version."""

    suite: str
    version: int
    title: str
    description: str
    banner: str
    demonstration: str
    """The line that says so where the suite is a demonstration."""
    updated: str
    """Date of the newest record."""
    explanation: tuple[str, ...]
    noise: tuple[Pair, ...]
    """The smallest differences that the board can show."""
    headline: Table
    equal_strength: Table
    """At equal strength, with raw values."""
    equal_protection: Table
    """Quality at equal protection."""
    attacks: tuple[AttackSection, ...]
    protections: tuple[ProtectionView, ...]
    controls: tuple[Pair, ...]
    gaps: tuple[GapView, ...]
    no_signal: tuple[GapView, ...]
    damaged: tuple[GapView, ...]
    metrics: tuple[MetricView, ...]
    environment: tuple[Pair, ...]
    counts: tuple[Pair, ...]
    points: tuple[PointView, ...]
    """Every operating point under every attack: all trade-off curves are drawn from these."""
    entries: tuple[EntryView, ...]
    """Every number of the headline."""
    gold: GoldRun | None = None
    """None where the suite has none: a demonstration, a folder of one's own images."""
    editing: Editing | None = None
    """None where the suite edits nothing."""
