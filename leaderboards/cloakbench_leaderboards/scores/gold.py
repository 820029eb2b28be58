"""The checks with known answers: conditions that the controls have to meet before a board may call itself official."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import pandas as pd

from cloakbench.schemas.kinds import Role
from cloakbench.schemas.suite import AttackSpec, Suite
from cloakbench_leaderboards import text
from cloakbench_leaderboards.data.frames import NO_COUNTERMEASURE
from cloakbench_leaderboards.scores import statistics
from cloakbench_leaderboards.scores.evidence import Evidence
from cloakbench_leaderboards.scores.signal import ARM, Signal
from cloakbench_leaderboards.scores.statistics import LEVEL, MIN_ARTISTS, Array

LEAST_SHARE = 2 / 3
"""Share of artists that an attack has to learn from."""
FAMILY_ERROR = 1 - LEVEL
"""Chance that a sound run fails a condition that is tested several times, over all its tests (Bonferroni)."""

MOST_NAMED = 5
"""Attacks that the finding of a condition names; the others are counted."""


class GoldVerdict(StrEnum):
    """What the records say of a condition; `UNKNOWN` where too few are there."""

    HOLDS = "holds"
    FAILS = "fails"
    UNKNOWN = "not known yet"


class GoldCondition(NamedTuple):
    """One condition and its verdict."""

    name: str
    verdict: GoldVerdict
    words: str
    """The finding, in a sentence."""


def has_gold_run(suite: Suite) -> bool:
    """Whether a suite's boards have to meet the conditions: demonstrations and folders of one's own images need not."""
    return not suite.demonstration and suite.dataset != "folder"


def checks(evidence: Evidence) -> list[GoldCondition]:
    """Returns all conditions with their verdicts."""
    return [
        _controls(evidence),
        _placebo(evidence),
        _again("Floor drawn again", "1", _floor_cells(evidence), evidence),
        _again("Clean arm drawn again", "0", _clean_cells(evidence), evidence),
        _random_noise(evidence),
        _competence(evidence.scores.signals, len(evidence.artists)),
    ]


def overall(conditions: Sequence[GoldCondition]) -> GoldVerdict:
    """Returns `FAILS` where a condition fails, `HOLDS` where all hold."""
    verdicts = [condition.verdict for condition in conditions]
    for verdict in (GoldVerdict.FAILS, GoldVerdict.UNKNOWN):
        if verdict in verdicts:
            return verdict
    return GoldVerdict.HOLDS


def _controls(evidence: Evidence) -> GoldCondition:
    """All cells of identity, placebo and floor that the suite plans have a record."""
    name = "References complete"
    absent = _absent_controls(evidence)
    if not absent:
        seeds = evidence.suite.seeds.controls
        words = f"Identity, placebo and floor are there at all {seeds} seeds."
        return GoldCondition(name, GoldVerdict.HOLDS, words)
    where = text.listed(list(dict.fromkeys(absent)), MOST_NAMED)
    words = f"Cells of the references are missing, {len(absent)} in all: {where}."
    return GoldCondition(name, GoldVerdict.UNKNOWN, words)


def _absent_controls(evidence: Evidence) -> list[str]:
    """Returns role and attack of each control cell that has no measurement, in words, in the order of tables."""
    cells = evidence.levels.cells
    measured = cells[cells["distance"].notna()]
    is_floor = measured["role"] == str(Role.FLOOR)
    present: set[tuple[object, ...]] = set()
    for columns, rows in ((["attack"], measured[~is_floor]), (list(ARM), measured[is_floor])):
        present |= set(rows[["role", *columns, "artist", "seed"]].itertuples(index=False, name=None))
    plain = [(attack.name,) for attack in evidence.ranked]
    absent = []
    for role in Role:
        if role.has_strengths:
            continue
        for attack in _arms(evidence.ranked) if role == Role.FLOOR else plain:
            for artist, seed in itertools.product(evidence.artists, range(evidence.suite.seeds.controls)):
                if (str(role), *attack, artist, seed) not in present:
                    absent.append(f"{role} against {' on '.join(attack)}")
    return absent


def _placebo(evidence: Evidence) -> GoldCondition:
    """The interval of the placebo's effect holds 0 under every attack."""
    name = "Placebo does not protect"
    grid = evidence.scores.grid
    entries = [entry.name for entry in evidence.entries_with(Role.PLACEBO)]
    rows = {}
    for (entry, _, a), row in grid.rows.items():
        if entry in entries and a in grid.learned:
            rows[a] = row
    if not rows:
        return GoldCondition(name, GoldVerdict.UNKNOWN, "There is no placebo, or no attack learned.")
    numbers = list(rows.values())
    weights = grid.denominator[numbers]
    verdicts = _around_zero(statistics.contributions(grid.effect[numbers] * weights, weights))
    attacks: dict[GoldVerdict, list[str]] = {verdict: [] for verdict in GoldVerdict}
    for attack, verdict in zip(rows, verdicts, strict=True):
        attacks[verdict].append(attack)
    if attacks[GoldVerdict.FAILS]:
        where = text.listed(attacks[GoldVerdict.FAILS], MOST_NAMED)
        return GoldCondition(name, GoldVerdict.FAILS, f"Its effect is not within noise of 0 against {where}.")
    if attacks[GoldVerdict.UNKNOWN]:
        where = text.listed(attacks[GoldVerdict.UNKNOWN], MOST_NAMED)
        return GoldCondition(name, GoldVerdict.UNKNOWN, f"Not measured on enough artists to know it against {where}.")
    return GoldCondition(name, GoldVerdict.HOLDS, f"Its effect is within noise of 0 against {len(rows)} attacks.")


def _again(name: str, expected: str, cells: pd.DataFrame, evidence: Evidence) -> GoldCondition:
    """An arm drawn with one seed is within noise of its other seeds, on the scale of P where it stands at `expected`.

    Args:
        name: Of the condition.
        expected: P of the arm, in words.
        cells: The cells of the arm; draws of the same images stand there once.
        evidence: The board.
    """
    values, alone = _draws(cells, evidence.scores.signals)
    if not values and not alone:
        words = f"There is no such arm, or no attack learned from {MIN_ARTISTS} artists."
        return GoldCondition(name, GoldVerdict.UNKNOWN, words)
    if alone:
        return GoldCondition(name, GoldVerdict.UNKNOWN, f"It was drawn once only for {text.listed(alone, MOST_NAMED)}.")
    verdicts = _around_zero(np.concatenate(_same_width(values)))
    outside, unknown = verdicts.count(GoldVerdict.FAILS), verdicts.count(GoldVerdict.UNKNOWN)
    if outside:
        words = f"{outside} of {len(verdicts)} draws are not within noise of {expected}."
        return GoldCondition(name, GoldVerdict.FAILS, words)
    if unknown:
        words = f"{unknown} of {len(verdicts)} draws are of too few artists to know it."
        return GoldCondition(name, GoldVerdict.UNKNOWN, words)
    return GoldCondition(name, GoldVerdict.HOLDS, f"All {len(verdicts)} draws are within noise of {expected}.")


def _clean_cells(evidence: Evidence) -> pd.DataFrame:
    """Returns the cells of the unprotected images without countermeasure."""
    cells = evidence.levels.cells
    is_plain = (cells["role"] == str(Role.IDENTITY)) & (cells["countermeasure"] == NO_COUNTERMEASURE)
    return cells[is_plain & cells["distance"].notna()]


def _floor_cells(evidence: Evidence) -> pd.DataFrame:
    """Returns the cells of the floor; of mimicries whose floors are the same images, those of one that learned."""
    cells = evidence.levels.cells
    floor = cells[(cells["role"] == str(Role.FLOOR)) & cells["distance"].notna()]
    learned = {(signal.mimicry, signal.model) for signal in evidence.scores.signals if signal.has_signal}
    images: dict[tuple[str, str], set[tuple[str, int, tuple[str, ...]]]] = {}
    for record in evidence.records:
        arm = (record.attack.mimicry, record.attack.model)
        digests = record.digests.get("generate")
        if record.protection.role is Role.FLOOR and arm in learned and digests:
            images.setdefault(arm, set()).add((record.artist, record.seed, tuple(digests)))
    first: dict[frozenset[tuple[str, int, tuple[str, ...]]], tuple[str, str]] = {}
    repeated = []
    for arm, drawn in images.items():
        if first.setdefault(frozenset(drawn), arm) != arm:
            repeated.append(arm)
    arms = pd.Series(list(zip(floor["mimicry"], floor["model"], strict=True)), index=floor.index, dtype=object)
    return floor[~arms.isin(repeated)]


def _draws(cells: pd.DataFrame, signals: Sequence[Signal]) -> tuple[list[Array], list[str]]:
    """Returns each draw of an arm less the mean of its other seeds, one block per mimicry and model.

    Args:
        cells: The cells of the arm.
        signals: What there was to learn.

    Returns:
        The blocks, and the mimicries that were drawn only once.
    """
    rows = []
    for s in signals:
        if s.has_signal:
            rows.append((s.artist, s.mimicry, s.model, s.denominator))
    learned = pd.DataFrame(rows, columns=["artist", *ARM, "denominator"])
    # An attack that learned from fewer artists has no interval: the condition "Attacks learn" names it.
    learned = learned[learned.groupby(ARM)["artist"].transform("count") >= MIN_ARTISTS]
    cells = cells.merge(learned, on=["artist", *ARM]).drop_duplicates(["artist", *ARM, "seed"])
    blocks: list[Array] = []
    alone: list[str] = []
    if not len(cells):
        return blocks, alone
    table = cells.pivot_table(index=[*ARM, "seed"], columns="artist", values=["distance", "denominator"])
    for arm, group in table.groupby(level=ARM):
        distance = group["distance"].to_numpy(dtype=float)
        if len(group) < 2:
            alone.append(" on ".join(map(str, arm)))
            continue
        others = (distance.sum(0) - distance) / (len(distance) - 1)
        blocks.append(statistics.contributions(distance - others, group["denominator"].to_numpy(dtype=float)))
    return blocks, alone


def _random_noise(evidence: Evidence) -> GoldCondition:
    """P of random noise at full strength is in the band that the suite records."""
    name = "Random noise in its band"
    band = evidence.suite.random_noise_band
    if band is None:
        return GoldCondition(name, GoldVerdict.UNKNOWN, "The suite records no band for it.")
    entries = [entry.name for entry in evidence.entries_with(Role.RANDOM_NOISE)]
    strength = max(evidence.suite.strengths)
    attack = evidence.rank_attack
    point = evidence.scores.summary.get((entries[0], strength, attack)) if entries else None
    if point is None or point.reason:
        words = f"It was not measured against {attack} at strength {strength:g}."
        return GoldCondition(name, GoldVerdict.UNKNOWN, words)
    low, high = band
    words = f"P is {text.number(point.p.value)} at strength {strength:g}, the band {low:g} to {high:g}."
    is_inside = low <= point.p.value <= high
    return GoldCondition(name, GoldVerdict.HOLDS if is_inside else GoldVerdict.FAILS, words)


def _competence(signals: Sequence[Signal], artists: int) -> GoldCondition:
    """Every mimicry learns, on its base model, from two thirds of the artists and from six at least."""
    name = "Attacks learn"
    learned: dict[tuple[str, str], int] = {}
    untested: dict[tuple[str, str], int] = {}
    for signal in signals:
        arm = (signal.mimicry, signal.model)
        learned[arm] = learned.get(arm, 0) + signal.has_signal
        untested[arm] = untested.get(arm, 0) + (not signal.is_tested)
    least = max(MIN_ARTISTS, LEAST_SHARE * artists)
    weak, unknown = [], []
    for (mimicry, model), n in learned.items():
        if n + untested[mimicry, model] < least:
            weak.append(f"{mimicry} on {model} ({n})")
        elif n < least:
            unknown.append(f"{mimicry} on {model}")
    sentences = []
    if weak:
        sentences.append(f"Too few of {artists} artists were learned from by {text.listed(weak, MOST_NAMED)}.")
    if unknown:
        sentences.append(f"Not run on enough artists to know it: {text.listed(unknown, MOST_NAMED)}.")
    if sentences:
        return GoldCondition(name, GoldVerdict.FAILS if weak else GoldVerdict.UNKNOWN, " ".join(sentences))
    words = f"Each learned from at least {min(learned.values())} of {artists} artists."
    return GoldCondition(name, GoldVerdict.HOLDS, words)


def _arms(attacks: Sequence[AttackSpec]) -> list[tuple[str, str]]:
    arms: dict[tuple[str, str], None] = {}
    for attack in attacks:
        arms[attack.mimicry, attack.model] = None
    return list(arms)


def _around_zero(values: Array) -> list[GoldVerdict]:
    """Returns per row whether its interval holds 0; not known where it has none."""
    estimates = statistics.difference_estimates(values, 1 - FAMILY_ERROR / max(len(values), 1))
    verdicts = []
    for low, high in zip(estimates.low, estimates.high, strict=True):
        if np.isnan(low) or np.isnan(high):
            verdicts.append(GoldVerdict.UNKNOWN)
        else:
            verdicts.append(GoldVerdict.HOLDS if low <= 0 <= high else GoldVerdict.FAILS)
    return verdicts


def _same_width(blocks: Sequence[Array]) -> list[Array]:
    width = max(block.shape[1] for block in blocks)
    padded = []
    for block in blocks:
        padded.append(np.pad(block, ((0, 0), (0, width - block.shape[1])), constant_values=np.nan))
    return padded
