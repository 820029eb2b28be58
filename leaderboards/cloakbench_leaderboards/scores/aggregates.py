"""Aggregates of one entry: P where entries are compared, mean, worst case, retention, area."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from cloakbench.schemas.suite import AttackSpec, Suite
from cloakbench_leaderboards.data.frames import HALVES
from cloakbench_leaderboards.scores import matching, statistics
from cloakbench_leaderboards.scores.matching import CalibratedStrength, Match, OperatingPoint, QualityCurve
from cloakbench_leaderboards.scores.scores import ScoreMatrices
from cloakbench_leaderboards.scores.statistics import Array

CLEAN = "identity"
FIXED = ("identity", "placebo")
"""Controls with one operating point, which stands at every target and strength."""


class EntryPoints(NamedTuple):
    """One entry with its operating points."""

    name: str
    role: str
    strengths: tuple[float, ...]
    calibrations: Mapping[float, CalibratedStrength]
    """What was sought for each target, and found."""
    planned: tuple[float, ...]
    """Strengths that the suite asks of it."""

    @property
    def sought(self) -> set[float]:
        """The strengths that a search has found."""
        return {each.strength for each in self.calibrations.values() if each.strength}


class Value(NamedTuple):
    """One number of one entry as what each artist contributes to it: its mean is the number."""

    artists: Array
    """NaN for an artist without a score; all NaN where there is no number."""
    state: str
    """How it came about (`calibrated`, `interpolated`, `measured`), or what keeps it from being compared."""
    note: str
    lacks: tuple[str, ...] = ()
    """What is missing in it, in words."""
    gate: str = ""
    """The quality metric that stops the entry before the matched one does; empty where none does."""

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing in it and it may be compared."""
        return not self.lacks and bool(np.isfinite(self.artists).any()) and self.state != "over target"


@dataclass(frozen=True)
class Setting:
    """What all entries share: scores, measured quality, and the suite's rules."""

    suite: Suite
    attacks: Sequence[AttackSpec]
    """Those that scores are made of."""
    grid: ScoreMatrices
    quality: Mapping[tuple[str, float, str], float]
    """Mean over artists by protection, strength, metric."""
    higher_is_better: Mapping[str, bool]
    found: dict[tuple[str, str, str], Value] = field(default_factory=dict, repr=False, compare=False)
    """What `protection` has worked out, by entry, attack and stop: aggregates and pages ask for the same again."""

    @property
    def attack(self) -> AttackSpec:
        """The attack of the headline: the suite's own choice, or its first where it ranks by the worst case."""
        return next((each for each in self.attacks if each.name == self.suite.rank_by), self.attacks[0])

    @property
    def family(self) -> list[AttackSpec]:
        """The attacks that differ from the headline's in the countermeasure alone, itself among them."""
        arm = (self.attack.mimicry, self.attack.model)
        return [each for each in self.attacks if (each.mimicry, each.model) == arm]

    @property
    def stops(self) -> list[OperatingPoint]:
        """Where entries are compared: the suite's targets, or its strengths where it has none."""
        if self.suite.matching:
            return matching.stops(self.suite.matching)
        return [OperatingPoint(f"{strength:g}", None, {}, strength) for strength in sorted(self.suite.strengths)]

    @property
    def middle(self) -> OperatingPoint:
        """The target, or strength, that aggregates stand at."""
        return self.stops[len(self.stops) // 2]


def curve(setting: Setting, subject: EntryPoints, attack: str) -> QualityCurve:
    """Returns the trade-off curve of an entry against an attack: points with a score and every quality metric."""
    names = setting.suite.metrics.quality
    places = [(CLEAN, 0.0), *((subject.name, strength) for strength in subject.strengths if strength > 0)]
    known = [
        place
        for place in places
        if (*place, attack) in setting.grid.rows and all((*place, name) in setting.quality for name in names)
    ]
    quality = {name: tuple(setting.quality[(*place, name)] for place in known) for name in names}
    return QualityCurve(tuple(strength for _, strength in known), quality)


def match(setting: Setting, subject: EntryPoints, attack: str, stop: OperatingPoint) -> Match:
    """Returns where on its curve an entry is compared at a stop; a calibrated point wins over interpolation."""
    if subject.role in FIXED:
        own = subject.strengths[0]
        return _at(setting, subject, attack, own)
    if stop.target is None or setting.suite.matching is None:
        return _at(setting, subject, attack, stop.strength)
    sought = subject.calibrations.get(stop.target)
    if sought is not None and not sought.strength:
        return Match("not reached", (), "", sought.why)
    if sought is not None and (subject.name, sought.strength, attack) in setting.grid.rows:
        quality = {name: setting.quality.get((subject.name, sought.strength, name), math.nan) for name in stop.limits}
        measured = {name: value for name, value in quality.items() if math.isfinite(value)}
        return matching.calibrated(sought, measured, setting.higher_is_better, setting.suite.matching.tolerance)
    return matching.meet(curve(setting, subject, attack), stop.limits, setting.higher_is_better)


def protection(setting: Setting, subject: EntryPoints, attack: str, stop: OperatingPoint) -> Value:
    """Returns P against one attack at a stop."""
    place = (subject.name, attack, stop.label)
    if place not in setting.found:
        setting.found[place] = _protection(setting, subject, attack, stop)
    return setting.found[place]


def _protection(setting: Setting, subject: EntryPoints, attack: str, stop: OperatingPoint) -> Value:
    found = match(setting, subject, attack, stop)
    p, denominator = _blend(setting, subject, attack, found, "p")
    if found.weights and not np.isfinite(denominator).any():
        return Value(_nothing(setting), "no signal", "the attack learned from no artist")
    return Value(
        artists=statistics.contributions(p * denominator, denominator),
        state=_shared_state([found.state]),
        note=found.note,
        lacks=_lacks(setting, subject, attack, found),
        gate="" if found.binding == next(iter(stop.limits), "") else found.binding,
    )


def mean(setting: Setting, subject: EntryPoints, stop: OperatingPoint) -> Value:
    """Returns the mean of P over all attacks that learned from someone."""
    return _mean_of([(a, protection(setting, subject, a.name, stop)) for a in _live(setting, setting.attacks)])


def worst(setting: Setting, subject: EntryPoints, stop: OperatingPoint) -> Value:
    """Returns P under the countermeasure that serves the mimic best, artist by artist, none being one of them.

    A minimum of noisy values is too low, so the countermeasure is chosen on one half of the generations and scored on
    the other, and the other way round; the two scores are averaged.
    """
    asked = [(each.name, match(setting, subject, each.name, stop)) for each in _live(setting, setting.family)]
    there = [(name, found) for name, found in asked if found.weights]
    states = [found.state for _, found in asked]
    told = [f"{name}: {words}" for name, found in asked for words in _lacks(setting, subject, name, found)]
    state, note, lacks = (
        _shared_state(states),
        _shared_note(states, len(there)),
        _shared_lacks(told, states, len(there)),
    )
    if not there:
        return Value(_nothing(setting), state, note, lacks)
    value, denominator = _blend(setting, subject, *there[0], "p")
    if len(there) > 1:  # with one option nothing is chosen, and all generations count
        halves = [np.asarray([_blend(setting, subject, *each, half)[0] for each in there]) for half in HALVES]
        value = np.minimum(statistics.split_half(*halves), 1.0)
    if not np.isfinite(value).any():
        note = "needs two generations or more a cell, to choose on one half and score on the other"
    return Value(statistics.contributions(value * denominator, denominator), state, note, lacks)


def retention(setting: Setting, subject: EntryPoints, stop: OperatingPoint) -> Value:
    """Returns the share of P that is left under countermeasures: their mean P over P without, where that is above 0."""
    if subject.role != "submission":  # a quotient of two noises says nothing
        return Value(_nothing(setting), "not defined", "a control protects nothing that could be retained")
    family = _live(setting, setting.family)
    plain, cleaned = ([each for each in family if bool(each.countermeasures) is wanted] for wanted in (False, True))
    if not plain or not cleaned:
        return Value(_nothing(setting), "missing", "the suite has no countermeasure in front of this mimicry")
    below = protection(setting, subject, plain[0].name, stop)
    above = _mean_of([(each, protection(setting, subject, each.name, stop)) for each in cleaned])
    base = statistics.estimates(below.artists[None]).at(0)
    lacks = (*above.lacks, *below.lacks)
    if not (base.low if base.has_interval else base.value) > 0:
        note = below.note or "P without countermeasure is not clear of 0"
        return Value(_nothing(setting), below.state if below.state == "not reached" else "not defined", note, lacks)
    both = statistics.contributions(above.artists, below.artists)
    return Value(both, above.state, above.note, lacks)


def area(setting: Setting, subject: EntryPoints) -> Value:
    """Returns the mean of P minus that of the images as they are, over quality from theirs to the middle target."""
    rules = setting.suite.matching
    if rules is None:
        return Value(_nothing(setting), "missing", "the suite has no quality targets")
    name = setting.attack.name
    drawn = curve(setting, subject, name)
    if subject.role in FIXED or len(drawn.strengths) < 2 or drawn.strengths[0] > 0:
        return Value(_nothing(setting), "missing", "no curve")
    weights = matching.area(drawn.quality[rules.metric], rules.targets[1])
    if not weights:
        end = drawn.quality[rules.metric][-1]
        return Value(_nothing(setting), "not reached", f"the curve ends at {rules.metric} {end:.3g}")
    found = Match("measured", tuple(zip(drawn.strengths, weights, strict=True)), rules.metric, "")
    p, denominator = _blend(setting, subject, name, found, "p")
    clean = setting.grid.p[setting.grid.rows[CLEAN, 0.0, name]]
    lacks = _lacks(setting, subject, name, found)
    return Value(statistics.contributions((p - clean) * denominator, denominator), "measured", "", lacks)


def _at(setting: Setting, subject: EntryPoints, attack: str, strength: float) -> Match:
    if (subject.name, strength, attack) in setting.grid.rows:
        return Match("measured", ((strength, 1.0),), "", "")
    return Match("no curve", (), "", "no record at this strength")


def _blend(setting: Setting, subject: EntryPoints, attack: str, found: Match, measure: str) -> tuple[Array, Array]:
    """Returns a measure at a match, and the denominators, one value an artist."""
    total = np.zeros(len(setting.grid.artists)) if found.weights else _nothing(setting)
    denominator = _nothing(setting)
    for strength, weight in found.weights:
        name = CLEAN if strength == 0 else subject.name
        row = setting.grid.rows[name, strength, attack]
        # A point without weight may be missing.
        total = total + weight * getattr(setting.grid, measure)[row] if weight else total
        denominator = setting.grid.denominator[row]
    return total, denominator


def _lacks(setting: Setting, subject: EntryPoints, attack: str, found: Match) -> tuple[str, ...]:
    if not found.weights:
        return () if found.state == "not reached" else (found.note,)
    p, denominator = _blend(setting, subject, attack, found, "p")
    lacks = []
    absent = int((np.isfinite(denominator) & ~np.isfinite(p)).sum())
    if absent:
        lacks.append(f"{absent} artist{'s' * (absent != 1)} missing")
    if found.binding and found.state in ("interpolated", "measured"):
        gone = [s for s in subject.planned if (subject.name, s, attack) not in setting.grid.rows]
        if gone:
            lacks.append(f"no record at strength {', '.join(f'{s:g}' for s in gone)}")
    return tuple(lacks)


def _mean_of(values: Sequence[tuple[AttackSpec, Value]]) -> Value:
    there = [(attack, value) for attack, value in values if np.isfinite(value.artists).any()]
    states = [value.state for _, value in values]
    told = [f"{attack.name}: {words}" for attack, value in values for words in value.lacks]
    note, lacks = _shared_note(states, len(there)), _shared_lacks(told, states, len(there))
    if not there:
        nothing = values[0][1].artists * math.nan if values else np.empty(0)
        return Value(nothing, _shared_state(states), note, lacks)
    stacked = np.asarray([value.artists for _, value in there])
    known = np.isfinite(stacked)
    everyone = known.any(0)
    centre = np.nanmean(stacked, axis=1, keepdims=True)
    # Attacks need not share their artists: an absent one adds nothing to the spread, the others as much more.
    scale = everyone.sum() / known.sum(1, keepdims=True)
    spread = np.where(known, (stacked - centre) * scale, 0.0)
    both = np.where(everyone, (centre + spread).mean(0), math.nan)
    return Value(both, _shared_state(states), note, lacks)


def _shared_state(states: Sequence[str]) -> str:
    for state in ("over target", "not reached", "missing", "no curve", "interpolated", "calibrated"):
        if state in states:
            return "missing" if state == "no curve" else state
    return "measured"


def _shared_note(states: Sequence[str], there: int) -> str:
    unmet = sum(state == "not reached" for state in states)
    asked = f"{len(states)} attack{'s' * (len(states) != 1)}"
    told = f"over {asked}" if there == len(states) else f"over {there} of {asked}"
    return f"{told}; {unmet} not reached" if unmet else told


def _shared_lacks(told: Sequence[str], states: Sequence[str], there: int) -> tuple[str, ...]:
    """Returns what an aggregate lacks: where some attacks have a number and others none, at least that."""
    is_partial = 0 < there < len(states)
    return tuple(told) or ((_shared_note(states, there),) if is_partial else ())


def _live(setting: Setting, attacks: Sequence[AttackSpec]) -> list[AttackSpec]:
    """Returns the attacks that learned from at least one artist."""
    return [attack for attack in attacks if attack.name in setting.grid.learned]


def _nothing(setting: Setting) -> Array:
    return np.full(len(setting.grid.artists), math.nan)
