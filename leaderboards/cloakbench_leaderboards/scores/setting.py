"""What all entries share, and where on its curve each of them is compared."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from cloakbench.schemas import ranked_cells
from cloakbench.schemas.kinds import PointState, Role
from cloakbench.schemas.suite import AttackSpec, Suite
from cloakbench_leaderboards.scores import matching
from cloakbench_leaderboards.scores.matching import CalibratedStrength, Match, OperatingPoint, QualityCurve
from cloakbench_leaderboards.scores.scores import ScoreMatrices
from cloakbench_leaderboards.scores.statistics import Array, Estimate

CLEAN = Role.IDENTITY
FIXED = tuple(role for role in Role if role.has_images and not role.has_strengths)
"""Controls with one operating point, which stands at every target and strength."""


class EntryPoints(NamedTuple):
    """One entry with its operating points."""

    name: str
    role: str
    strengths: tuple[float, ...]
    calibrations: Mapping[float, CalibratedStrength]
    """Result of the search for each target."""
    planned: tuple[float, ...]
    """Strengths at which the suite plans it."""

    @property
    def calibrated_strengths(self) -> set[float]:
        """The strengths that searches ended at."""
        strengths = set()
        for calibration in self.calibrations.values():
            if calibration.strength:
                strengths.add(calibration.strength)
        return strengths


class AttackCount(NamedTuple):
    """How many attacks an aggregate stands on."""

    measured: int
    planned: int
    not_reached: int
    """Attacks whose target the entry never reaches."""

    @property
    def is_partial(self) -> bool:
        """Whether some attacks have a number and others none."""
        return 0 < self.measured < self.planned

    @property
    def words(self) -> str:
        """The counts in words.

        Example:
            >>> AttackCount(1, 3, 0).words
            'over 1 of 3 attacks'
        """
        attacks = f"{self.planned} attack{'s' * (self.planned != 1)}"
        words = f"over {attacks}" if self.measured == self.planned else f"over {self.measured} of {attacks}"
        return f"{words}; {self.not_reached} not reached" if self.not_reached else words


class Value(NamedTuple):
    """One number of one entry as what each artist contributes to it: its mean is the number."""

    artists: Array
    """NaN for an artist without a score; all NaN where there is no number."""
    state: PointState
    """What the number rests on, or what keeps it from being compared."""
    note: str
    lacks: tuple[str, ...] = ()
    """What is missing in it, in words; empty where nothing is."""
    gate: str = ""
    """The quality metric that stops the entry before the matched one does; empty where none does."""
    attacks: AttackCount | None = None
    """Of an aggregate over attacks: how many have a number."""
    estimate: Estimate | None = None
    """The number with its interval, where it is no mean over artists: a quotient."""

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing in it and it may be compared."""
        return not self.lacks and bool(np.isfinite(self.artists).any()) and self.state is not PointState.OVER_TARGET


@dataclass(frozen=True)
class Setting:
    """What all entries share: scores, measured quality, and the suite's rules."""

    suite: Suite
    attacks: Sequence[AttackSpec]
    """Those that scores are made of."""
    grid: ScoreMatrices
    quality: Mapping[tuple[str, float, str], float]
    """Mean over all artists of the suite, also over those without a signal, by protection, strength, metric."""
    higher_is_better: Mapping[str, bool]
    shares: Mapping[tuple[str, float, str], Array] = field(default_factory=dict, repr=False)
    """Share of the middle target's limit that each artist's images use, by protection, strength, metric."""
    artist_quality: Mapping[tuple[str, float, str], Array] = field(default_factory=dict, repr=False)
    """Quality of each artist's images by the metrics that have a limit, by protection, strength, metric."""
    clean: ScoreMatrices | None = None
    """The unprotected images at as many seeds as the entries have; None: the worst case takes all seeds of `grid`."""
    cache: dict[tuple[str, str, str, str], Value] = field(default_factory=dict, repr=False, compare=False)
    """Results of `protection` by entry, attack, operating point and measure: aggregates and pages need them again."""

    @property
    def attack(self) -> AttackSpec:
        """The attack of the headline: the suite's own choice, or its first where it ranks by the worst case."""
        return ranked_cells.headline(self.suite, self.attacks)

    @property
    def worst_attacks(self) -> list[AttackSpec]:
        """The attacks of the worst case: the headline's, and those of the family that the suite names for it."""
        return ranked_cells.worst_attacks(self.suite, self.attacks)

    @property
    def stops(self) -> list[OperatingPoint]:
        """Where entries are compared: the suite's targets, or its strengths where it has none."""
        if self.suite.matching:
            return matching.stops(self.suite.matching)
        points = []
        for strength in sorted(self.suite.strengths):
            points.append(OperatingPoint(f"{strength:g}", None, {}, strength))
        return points

    @property
    def middle(self) -> OperatingPoint:
        """The target, or strength, that aggregates stand at."""
        return self.stops[len(self.stops) // 2]


def curve(setting: Setting, subject: EntryPoints, attack: str) -> QualityCurve:
    """Returns the trade-off curve of an entry against an attack: points with a score and every quality metric."""
    names = setting.suite.metrics.quality
    quality: dict[str, list[float]] = defaultdict(list)
    strengths: list[float] = []
    points = [(str(CLEAN), 0.0)]
    for strength in subject.strengths:
        if strength > 0:
            points.append((subject.name, strength))
    for point in points:
        if (*point, attack) not in setting.grid.rows or not all((*point, name) in setting.quality for name in names):
            continue
        strengths.append(point[1])
        for name in names:
            quality[name].append(setting.quality[(*point, name)])
    return QualityCurve(tuple(strengths), {name: tuple(quality[name]) for name in names})


def match(setting: Setting, subject: EntryPoints, attack: str, stop: OperatingPoint) -> Match:
    """Returns where on its curve an entry is compared; a calibrated strength wins over interpolation.

    Args:
        setting: What all entries share.
        subject: The entry.
        attack: Name of the attack.
        stop: The target or strength that entries are compared at.
    """
    if subject.role in FIXED:
        return at_strength(setting, subject, attack, subject.strengths[0])
    if stop.target is None or setting.suite.matching is None:
        return at_strength(setting, subject, attack, stop.strength)
    search = subject.calibrations.get(stop.target)
    if search is not None and not search.strength:
        return Match(PointState.NOT_REACHED, (), "", search.why)
    if search is not None and (subject.name, search.strength, attack) in setting.grid.rows:
        measured = {}
        for name in stop.limits:
            value = setting.quality.get((subject.name, search.strength, name), math.nan)
            if math.isfinite(value):
                measured[name] = value
        return matching.calibrated(search, measured, setting.higher_is_better, setting.suite.matching.tolerance)
    return matching.meet(curve(setting, subject, attack), stop.limits, setting.higher_is_better)


def at_strength(setting: Setting, subject: EntryPoints, attack: str, strength: float) -> Match:
    """Returns the match at one strength; without a weight where it has no record."""
    if (subject.name, strength, attack) in setting.grid.rows:
        return Match(PointState.MEASURED, ((strength, 1.0),), "", "")
    return Match(PointState.NO_CURVE, (), "", "no record at this strength")
