"""The findings of a board in sentences, from its numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from cloakbench.schemas.kinds import Role
from cloakbench_leaderboards import text
from cloakbench_leaderboards.board.completeness import Completeness, ProvisionalOrder, plain_number
from cloakbench_leaderboards.board.number_cells import WORST
from cloakbench_leaderboards.board.words import stop_name
from cloakbench_leaderboards.scores import agreement, ranking
from cloakbench_leaderboards.scores.evidence import BoardEntry, Evidence
from cloakbench_leaderboards.scores.statistics import MIN_ARTISTS, Estimate

LISTED = 4
"""Entries that a sentence names with their numbers."""
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


class BoardFinding(NamedTuple):
    """One finding: the result in a few words, then the numbers behind it."""

    result: str
    numbers: str


def findings(evidence: Evidence, order: ProvisionalOrder, runs: Mapping[str, Completeness]) -> tuple[BoardFinding, ...]:
    """Returns the findings: who leads at equal visibility, and what cleaning leaves; none without a number.

    On too few artists for an interval there is one finding, which says so beside the numbers.
    """
    if not evidence.submissions:
        return ()
    if len(evidence.artists) < MIN_ARTISTS:
        return _on_few_artists(evidence, order)
    return (_lead(evidence), _cleaning(evidence, order, runs))


def _on_few_artists(evidence: Evidence, order: ProvisionalOrder) -> tuple[BoardFinding, ...]:
    shown = []
    for entry in (*order.complete, *order.incomplete)[:LISTED]:
        plain = plain_number(evidence, entry.name)[1].value
        cleaned = evidence.standings.value(WORST, entry.name)[1].value
        if math.isfinite(plain):
            left = f" ({percent(cleaned)} under the best cleaning trick)" if math.isfinite(cleaned) else ""
            shown.append(f"{entry.label} takes away {percent(plain)} of what a copycat learns{left}")
    if not shown:
        return ()
    artists = len(evidence.artists)
    numbers = f"On {artists} artist{'s' * (artists != 1)}, at {_limit_words(evidence)}, {'; '.join(shown)}."
    return (BoardFinding("Too few artists to judge.", f"{numbers}{_noise_words(evidence)}"),)


def _lead(evidence: Evidence) -> BoardFinding:
    entries = _by_plain_number(evidence)
    if not entries:
        words = f"No protection has a complete score at {_limit_words(evidence)} without cleaning."
        return BoardFinding("No protection can be compared yet.", words)
    estimates = [plain_number(evidence, entry.name)[1] for entry in entries]
    tied = _tied_with_first(evidence, entries)
    first = share_words(estimates[0], "95 % interval ")
    shown = [f"{entries[0].label} takes away {first} of what a copycat learns"]
    for entry, estimate in zip(entries[1:LISTED], estimates[1:LISTED], strict=True):
        shown.append(f"{entry.label} {percent(estimate.value)}")
    numbers = f"At {_limit_words(evidence)} and without cleaning, {', '.join(shown)}."
    if tied:
        scored = int(np.isfinite(plain_number(evidence, entries[0].name)[0].artists).sum())
        numbers += f" Measured on {scored} of {len(evidence.artists)} artists, {entries[0].label} is not told apart"
        numbers += f" from {text.listed(tied, LISTED)}."
    numbers += _noise_words(evidence)
    is_clear = estimates[0].has_interval and estimates[0].low > 0
    if not is_clear:
        return BoardFinding("No protection is told apart from no protection.", numbers)
    if tied:
        return BoardFinding("No protection wins yet.", numbers)
    if len(entries) == 1:
        return BoardFinding(f"Only {entries[0].label} is measured.", numbers)
    return BoardFinding(f"{entries[0].label} protects most before cleaning.", numbers)


def _by_plain_number(evidence: Evidence) -> list[BoardEntry]:
    whole = []
    for entry in evidence.entries:
        if entry.is_control:
            continue
        value, estimate = plain_number(evidence, entry.name)
        if value.is_whole and math.isfinite(estimate.value):
            whole.append(entry)
    return sorted(whole, key=lambda entry: -plain_number(evidence, entry.name)[1].value)


def _tied_with_first(evidence: Evidence, entries: Sequence[BoardEntry]) -> list[str]:
    """Returns the labels of the entries that do not differ significantly from the first."""
    blocks = np.asarray([plain_number(evidence, entry.name)[0].artists for entry in entries])
    checks = agreement.stacked(evidence.setting, [entry.subject for entry in entries])
    apart = ranking.told_apart(blocks, checks)
    labels = []
    for number, entry in enumerate(entries):
        if number and not apart[0, number]:
            labels.append(entry.label)
    return labels


def _limit_words(evidence: Evidence) -> str:
    stop = evidence.setting.middle
    if stop.target is None:
        return f"strength {stop.label}"
    return f"the largest strength within the limit “{stop_name(len(evidence.setting.stops) // 2)}”"


def _noise_words(evidence: Evidence) -> str:
    for entry in evidence.entries:
        if entry.facts.role == Role.RANDOM_NOISE:
            estimate = plain_number(evidence, entry.name)[1]
            if math.isfinite(estimate.value):
                return f" Random noise, for comparison: {percent(estimate.value)}."
    return ""


def _cleaning(evidence: Evidence, order: ProvisionalOrder, runs: Mapping[str, Completeness]) -> BoardFinding:
    whole = _worst_cases(evidence, order)
    rest = _incomplete(order, runs)
    if not whole:
        so_far = _so_far(evidence, order)
        words = f"No protection has a complete score under the best cleaning trick.{so_far}{rest}"
        return BoardFinding("What cleaning leaves is not known for sure yet.", words)
    shown = []
    survivors = []
    for entry, estimate in whole:
        shown.append(f"{entry.label} takes away {share_words(estimate)}")
        if estimate.has_interval and estimate.low > 0:
            survivors.append(entry.label)
    numbers = f"Under the best cleaning trick {', '.join(shown[:LISTED])}.{rest}"
    if survivors:
        return BoardFinding(f"Some protection survives cleaning: {text.listed(survivors, LISTED)}.", numbers)
    if len(whole) == 1:
        return BoardFinding("No protection is shown to survive cleaning; only one was tested fully.", numbers)
    return BoardFinding(f"No protection is shown to survive cleaning; {len(whole)} were tested fully.", numbers)


def _worst_cases(evidence: Evidence, order: ProvisionalOrder) -> list[tuple[BoardEntry, Estimate]]:
    """Returns the entries whose worst case is complete, with their worst case; the best first."""
    whole = []
    for entry in (*order.complete, *order.incomplete):
        value, estimate = evidence.standings.value(WORST, entry.name)
        if value.is_whole and math.isfinite(estimate.value):
            whole.append((entry, estimate))
    return sorted(whole, key=lambda pair: -pair[1].value)


def _so_far(evidence: Evidence, order: ProvisionalOrder) -> str:
    """Returns a sentence with the worst cases that stand on a part of the runs; or nothing."""
    shown = []
    for entry in (*order.complete, *order.incomplete):
        value = evidence.standings.value(WORST, entry.name)[1].value
        if math.isfinite(value):
            shown.append(f"{entry.label} {percent(value)}")
    return f" What incomplete runs leave: {', '.join(shown[:LISTED])}." if shown else ""


def _incomplete(order: ProvisionalOrder, runs: Mapping[str, Completeness]) -> str:
    """Returns a sentence that says how many entries cannot be ranked, and how many runs that takes; or nothing."""
    entries, cells = 0, 0
    for entry in (*order.complete, *order.incomplete):
        if runs[entry.name].needed:
            entries += 1
            cells += runs[entry.name].needed
    if not entries:
        return ""
    missing = "1 run is" if cells == 1 else f"{cells:,} runs are"
    return f" {_counted(entries)} cannot be ranked yet: {missing} missing."


def _counted(count: int) -> str:
    number = NUMBERS[count] if count < len(NUMBERS) else str(count)
    return f"{number.capitalize()} {'protection' if count == 1 else 'protections'}"


def percent(value: float) -> str:
    """Returns a share in per cent.

    Example:
        >>> percent(0.434), percent(-0.001)
        ('43 %', '0 %')
    """
    return f"{round(100 * value) + 0:d} %".replace("-", text.MINUS)


def share_words(estimate: Estimate, name: str = "") -> str:
    """Returns a share with its interval, no limit above 100 per cent; `name` stands before the limits.

    Example:
        >>> share_words(Estimate(0.43, 0.16, 1.2, 8, ""))
        '43 % (16 to 100)'
    """
    shown = percent(estimate.value)
    if not estimate.has_interval:
        return shown
    low, high = (percent(min(limit, 1.0)).removesuffix(" %") for limit in (estimate.low, estimate.high))
    return f"{shown} ({name}{low} to {high})"
