"""Aggregates of one entry: P where entries are compared, mean, worst case, retention, area."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from cloakbench.schemas.kinds import PointState, Role
from cloakbench.schemas.suite import AttackSpec
from cloakbench_leaderboards.scores import matching, statistics, worst_case
from cloakbench_leaderboards.scores.matching import Match, OperatingPoint
from cloakbench_leaderboards.scores.scores import ScoreMatrices
from cloakbench_leaderboards.scores.setting import CLEAN, FIXED, AttackCount, EntryPoints, Setting, Value, curve, match
from cloakbench_leaderboards.scores.statistics import Array

_WORST_FIRST = (
    PointState.OVER_TARGET,
    PointState.NOT_REACHED,
    PointState.MISSING,
    PointState.NO_CURVE,
    PointState.INTERPOLATED,
    PointState.CALIBRATED,
)


def protection(setting: Setting, subject: EntryPoints, attack: str, stop: OperatingPoint, measure: str = "p") -> Value:
    """Returns P, or `effect`, against one attack at one operating point; other arguments as of `match`."""
    key = (subject.name, attack, stop.label, measure)
    if key not in setting.cache:
        setting.cache[key] = _protection(setting, subject, attack, stop, measure)
    return setting.cache[key]


def _protection(setting: Setting, subject: EntryPoints, attack: str, stop: OperatingPoint, measure: str) -> Value:
    point = match(setting, subject, attack, stop)
    p, denominator = _blend(setting, subject, attack, point, measure)
    if point.weights and not np.isfinite(denominator).any():
        return Value(_nothing(setting), PointState.NO_SIGNAL, "the attack learned from no artist")
    return Value(
        artists=statistics.contributions(p * denominator, denominator),
        state=_shared_state([point.state]),
        note=point.note,
        lacks=_lacks(setting, subject, attack, point),
        gate="" if point.binding == next(iter(stop.limits), "") else point.binding,
    )


def mean(setting: Setting, subject: EntryPoints, stop: OperatingPoint) -> Value:
    """Returns the mean of P over all attacks that learned from some artist."""
    return _mean_over(setting, subject, stop, _live(setting, setting.attacks))


def worst(
    setting: Setting, subject: EntryPoints, stop: OperatingPoint, attacks: Sequence[AttackSpec] | None = None
) -> Value:
    """Returns P under the countermeasure that serves the mimic best; no countermeasure is an option.

    A minimum of noisy values is too low, so the countermeasure is chosen on other artists than it is scored on
    (`worst_case.least`). The same number for the unprotected images, under the same attacks and with as many seeds, is
    subtracted. For the entry `identity` that number itself is returned.

    Args:
        setting: What all entries share.
        subject: The entry.
        stop: Where entries are compared.
        attacks: Which of the attacks are options; by default those that the suite names for the worst case.
    """
    states: list[PointState] = []
    lacks: list[str] = []
    options: dict[str, Match] = {}
    for attack in _live(setting, setting.worst_attacks if attacks is None else attacks):
        point = match(setting, subject, attack.name, stop)
        states.append(point.state)
        lacks += _prefixed(attack, _lacks(setting, subject, attack.name, point))
        if point.weights:
            options[attack.name] = point
    count = _count(states, len(options))
    values = _nothing(setting)
    if options:
        values, unscored = _least(setting, subject, options)
        if unscored:
            lacks.append(f"unprotected images of {unscored} artist{'s' * (unscored != 1)} not scored")
    return Value(values, _shared_state(states), count.words, _shared_lacks(lacks, count), attacks=count)


def _least(setting: Setting, subject: EntryPoints, options: Mapping[str, Match]) -> tuple[Array, int]:
    """Returns what each artist contributes to the worst case over `options`, less that of the unprotected images.

    With it comes the number of artists that have a value while their unprotected images have none under some option;
    nothing is subtracted from theirs.
    """
    value, denominator = _blend(setting, subject, *next(iter(options.items())), "p")
    if len(options) == 1:  # nothing is chosen, so nothing is too low, and nothing is subtracted
        return statistics.contributions(value * denominator, denominator), 0
    unprotected = clean_least(setting.clean or setting.grid, list(options), denominator)
    if subject.role == Role.IDENTITY:
        return unprotected, 0
    capped = [_capped_blend(setting, subject, attack, point) for attack, point in options.items()]
    least = worst_case.least(np.asarray(capped), denominator)
    unscored = int((np.isfinite(least) & ~np.isfinite(unprotected)).sum())
    return least - np.nan_to_num(unprotected), unscored


def clean_least(grid: ScoreMatrices, attacks: Sequence[str], denominator: Array) -> Array:
    """Returns what each artist contributes to the worst case of the images as they are.

    It is what countermeasures alone do to the imitation. NaN for an artist without a value under one of the attacks.
    """
    rows = []
    for attack in attacks:
        if (CLEAN, 0.0, attack) not in grid.rows:
            return np.full(len(grid.artists), math.nan)
        rows.append(grid.rows[CLEAN, 0.0, attack])
    return worst_case.least(_capped_mean(grid.seeds[rows]), denominator)


def _capped_blend(setting: Setting, subject: EntryPoints, attack: str, point: Match) -> Array:
    """Returns P at a point of the curve, one value per artist, over as many seeds as entries have.

    Controls have more seeds: their first ones count. As everywhere, each measured point is capped at 1 after its seeds
    are averaged, then points are interpolated.
    """
    total = np.zeros(len(setting.grid.artists))
    for strength, weight in point.weights:
        if weight:  # a point without weight may be missing
            name = CLEAN if strength == 0 else subject.name
            seeds = setting.grid.seeds[setting.grid.rows[name, strength, attack]]
            total = total + weight * _capped_mean(seeds[: setting.suite.seeds.protected])
    return total


def _capped_mean(seeds: Array) -> Array:
    """Returns the means over seeds (the axis before the last), at most 1; NaN where there is none."""
    measured = np.isfinite(seeds)
    count = measured.sum(-2)
    total = np.where(measured, seeds, 0.0).sum(-2)
    return np.where(count > 0, np.minimum(total / np.maximum(count, 1), 1.0), math.nan)


def _prefixed(attack: AttackSpec, lacks: Sequence[str]) -> list[str]:
    return [f"{attack.name}: {words}" for words in lacks]


def retention(setting: Setting, subject: EntryPoints, stop: OperatingPoint) -> Value:
    """Returns the share of P that countermeasures leave: their mean effect over P without, where that is above 0.

    Effect, not P: what a countermeasure alone does to the artist's images is no protection. The interval is Fieller's.
    """
    if subject.role != Role.SUBMISSION:  # a quotient of two noises says nothing
        return Value(_nothing(setting), PointState.NOT_DEFINED, "a reference protects nothing that could be retained")
    family = _live(setting, setting.worst_attacks)
    plain: list[AttackSpec] = []
    cleaned: list[AttackSpec] = []
    for attack in family:
        (cleaned if attack.countermeasures else plain).append(attack)
    if not plain or not cleaned:
        note = "the suite has no countermeasure in front of this mimicry"
        return Value(_nothing(setting), PointState.MISSING, note)
    below = protection(setting, subject, plain[0].name, stop)
    above = _mean_over(setting, subject, stop, cleaned, "effect")
    base = statistics.difference_estimates(below.artists[None]).at(0)
    lacks = (*above.lacks, *below.lacks)
    if not (base.low if base.has_interval else base.value) > 0:
        note = below.note or "P without countermeasure is not clear of 0"
        is_unmet = below.state is PointState.NOT_REACHED
        return Value(_nothing(setting), below.state if is_unmet else PointState.NOT_DEFINED, note, lacks)
    both = statistics.contributions(above.artists, below.artists)
    estimate = statistics.quotient(above.artists, below.artists)
    return Value(both, above.state, above.note, lacks, attacks=above.attacks, estimate=estimate)


def area(setting: Setting, subject: EntryPoints) -> Value:
    """Returns the mean of P minus that of the images as they are, over quality from theirs to the middle target.

    Quality is by the matched metric alone; the other limits do not end the area.
    """
    rules = setting.suite.matching
    if rules is None:
        return Value(_nothing(setting), PointState.MISSING, "the suite has no quality targets")
    name = setting.attack.name
    measured = curve(setting, subject, name)
    if subject.role in FIXED or len(measured.strengths) < 2 or measured.strengths[0] > 0:
        return Value(_nothing(setting), PointState.MISSING, "no curve")
    weights = matching.area(measured.quality[rules.metric], rules.targets[1])
    if not weights:
        end = measured.quality[rules.metric][-1]
        return Value(_nothing(setting), PointState.NOT_REACHED, f"the curve ends at {rules.metric} {end:.3g}")
    points = Match(PointState.MEASURED, tuple(zip(measured.strengths, weights, strict=True)), rules.metric, "")
    p, denominator = _blend(setting, subject, name, points, "p")
    clean = setting.grid.p[setting.grid.rows[CLEAN, 0.0, name]]
    lacks = _lacks(setting, subject, name, points)
    return Value(statistics.contributions((p - clean) * denominator, denominator), PointState.MEASURED, "", lacks)


def _blend(setting: Setting, subject: EntryPoints, attack: str, point: Match, measure: str) -> tuple[Array, Array]:
    """Returns a measure at a point of the curve, and the denominators, one value per artist.

    Each measured point is capped at 1 (`ScoreMatrices`), then points are interpolated. The images as they are count
    with all their seeds.
    """
    total = np.zeros(len(setting.grid.artists)) if point.weights else _nothing(setting)
    denominator = _nothing(setting)
    for strength, weight in point.weights:
        name = CLEAN if strength == 0 else subject.name
        row = setting.grid.rows[name, strength, attack]
        # A point without weight may be missing.
        total = total + weight * getattr(setting.grid, measure)[row] if weight else total
        denominator = setting.grid.denominator[row]
    return total, denominator


def _lacks(setting: Setting, subject: EntryPoints, attack: str, point: Match) -> tuple[str, ...]:
    if not point.weights:
        return () if point.state is PointState.NOT_REACHED else (point.note,)
    p, denominator = _blend(setting, subject, attack, point, "p")
    lacks = []
    absent = int((np.isfinite(denominator) & ~np.isfinite(p)).sum())
    if absent:
        lacks.append(f"{absent} artist{'s' * (absent != 1)} missing")
    if point.binding and point.state in (PointState.INTERPOLATED, PointState.MEASURED):
        rows = setting.grid.rows
        unmeasured = []
        for s in subject.planned:
            if (subject.name, s, attack) not in rows:
                unmeasured.append(f"{s:g}")
        if unmeasured:
            lacks.append(f"no record at strength {', '.join(unmeasured)}")
    return tuple(lacks)


def _mean_over(
    setting: Setting, subject: EntryPoints, stop: OperatingPoint, attacks: Sequence[AttackSpec], measure: str = "p"
) -> Value:
    """Returns the mean of P, or effect, over attacks; those without a number are left out and counted."""
    states: list[PointState] = []
    lacks: list[str] = []
    measured: list[Array] = []
    for attack in attacks:
        value = protection(setting, subject, attack.name, stop, measure)
        states.append(value.state)
        lacks += _prefixed(attack, value.lacks)
        if np.isfinite(value.artists).any():
            measured.append(value.artists)
    count = _count(states, len(measured))
    artists = _mean_of(np.asarray(measured)) if measured else _nothing(setting)
    return Value(artists, _shared_state(states), count.words, _shared_lacks(lacks, count), attacks=count)


def _mean_of(stacked: Array) -> Array:
    """Returns what each artist (last axis) contributes to the mean over attacks (first axis).

    Attacks need not share their artists: an absent one adds nothing to the spread of its attack, and the others count
    for as much more, so that the mean of the contributions is the mean of the attacks' means.
    """
    measured = np.isfinite(stacked)
    everyone = measured.any(0)
    centre = np.nanmean(stacked, axis=1, keepdims=True)
    scale = everyone.sum() / measured.sum(1, keepdims=True)
    spread = np.where(measured, (stacked - centre) * scale, 0.0)
    return np.where(everyone, (centre + spread).mean(0), math.nan)


def _shared_state(states: Sequence[PointState]) -> PointState:
    for state in _WORST_FIRST:
        if state in states:
            return PointState.MISSING if state is PointState.NO_CURVE else state
    return PointState.MEASURED


def _count(states: Sequence[PointState], measured: int) -> AttackCount:
    return AttackCount(measured, len(states), sum(state is PointState.NOT_REACHED for state in states))


def _shared_lacks(lacks: Sequence[str], count: AttackCount) -> tuple[str, ...]:
    """Returns what an aggregate lacks; where some attacks have a number and others none, at least that."""
    return tuple(lacks) or ((count.words,) if count.is_partial else ())


def _live(setting: Setting, attacks: Sequence[AttackSpec]) -> list[AttackSpec]:
    """Returns the attacks that learned from at least one artist."""
    learned = []
    for attack in attacks:
        if attack.name in setting.grid.learned:
            learned.append(attack)
    return learned


def _nothing(setting: Setting) -> Array:
    return np.full(len(setting.grid.artists), math.nan)
