"""Whether robustness regressed: every protection of some records against the same one in a baseline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from cloakbench.errors import UserError
from cloakbench.store.reading import Loaded
from cloakbench_leaderboards import text
from cloakbench_leaderboards.versions import changes
from cloakbench_leaderboards.versions.comparing import Comparison, Difference, compare
from cloakbench_leaderboards.versions.pairing import pairs
from cloakbench_leaderboards.versions.references import Reference
from cloakbench_leaderboards.versions.sides import SideRequest, protections, sides
from cloakbench_leaderboards.versions.verdicts import Verdict


def comparisons(before: Reference, after: Reference, store: Path, suite: str | None = None) -> list[Comparison]:
    """Returns `after` compared with `before`: the protection that is named, or each that both hold.

    Args:
        before: The side that is the standard.
        after: The side to judge.
        store: Folder of a side that names none.
        suite: Which suite, where records hold several.

    Raises:
        UserError: A side can't be read, or the two share no protection or no cell.
    """
    old, new = before.load(store, suite), after.load(store, suite)
    results = []
    has_shared_cell = False
    for first, second in _names(before, after, old, new, store):
        one_side = SideRequest(old, before.where(store), first, before.version)
        other_side = SideRequest(new, after.where(store), second, after.version)
        pair = sides(one_side, other_side)
        has_shared_cell |= bool(pairs(*pair))
        results.append(compare(*pair))
    if not has_shared_cell:
        raise UserError(
            f"expected a cell that both {before.where(store)} and {after.where(store)} hold (same attack, artist, "
            "operating point and seed), got none",
            "Compare records of one suite on the same artists, attacks and strengths.",
        )
    return results


def exit_code(results: list[Comparison]) -> int:
    """Returns the exit code of `regress`.

    1 where a protection regressed; 2 where equal recipes have other results, which makes a record wrong and no
    regression certain; else 0.
    """
    code = 0
    for result in results:
        if result.verdict is Verdict.REGRESSED:
            return 1
        if any(difference.other_results for difference in result.attacks):
            code = 2
    return code


def sentence(results: list[Comparison]) -> str:
    """Returns the result of all comparisons in one sentence."""
    verdicts = Counter(str(result.verdict) for result in results)
    regressed = verdicts.pop(str(Verdict.REGRESSED), 0)
    others = f" ({text.counts(verdicts)})" if verdicts else ""
    noun = "protection" if len(results) == 1 else "protections"
    turning = sum(bool(result.turns_on) for result in results)
    by_one = f" Verdicts that turn on one artist: {turning}." if turning else ""
    return f"{regressed} of {len(results)} {noun} regressed{others}.{by_one}"


def _names(before: Reference, after: Reference, old: Loaded, new: Loaded, store: Path) -> list[tuple[str, str]]:
    if before.protection or after.protection:
        return [(before.protection or after.protection, after.protection or before.protection)]
    ours, theirs = protections(old), protections(new)
    shared = sorted(set(ours) & set(theirs))
    if not shared:
        raise UserError(
            f"expected a protection that both sides hold, got {text.listed(ours) or 'none'} in {before.where(store)} "
            f"and {text.listed(theirs) or 'none'} in {after.where(store)}",
            "Run the same protection for both, or name one on each side: A:photoguard B:mist.",
        )
    return list(zip(shared, shared, strict=True))


def lines(result: Comparison) -> list[str]:
    """Returns a comparison as lines of text."""
    verdict = f"{result.verdict} (margin {result.margin:g} of P){_turning(result.turns_on)}"
    words = [f"{result.before} → {result.after}, suite {result.suite}: {verdict}"]
    for note in result.notes:
        words.append(f"  note: {note}")
    for change in result.changes:
        words.append(f"  changed: {_changed(change, result)}")
    if result.attacks and not result.changes:
        words.append("  changed: nothing in any recipe")
    if result.quality:
        quality = []
        for name, old, new in result.quality:
            quality.append(f"{name} {text.number(old)} → {text.number(new)}")
        words.append(f"  quality: {', '.join(quality)}")
    return [*words, *_table(result)]


def _changed(change: changes.Change, result: Comparison) -> str:
    is_everywhere = {difference.attack for difference in result.attacks} <= set(change.attacks)
    under = "" if is_everywhere else f" (under {text.listed(list(change.attacks))})"
    return f"{changes.sentence(change)}{under}"


def _table(result: Comparison) -> list[str]:
    if not result.attacks:
        return []
    heads = ("attack", "at", "P before", "after", "change (90 %)", "verdict")
    rows = [heads, *map(_row, result.attacks)]
    columns = list(zip(*rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    lines = []
    for row in rows:
        cells = []
        for cell, width in zip(row, widths, strict=True):
            cells.append(cell.ljust(width))
        lines.append(f"  {'  '.join(cells)}".rstrip())
    return lines


def _row(difference: Difference) -> tuple[str, ...]:
    half = (difference.high - difference.low) / 2
    interval = text.interval(difference.low, difference.high)
    change = text.number(difference.change, half) + (f" ({interval})" if interval else "")
    before, after = text.number(difference.before, half), text.number(difference.after, half)
    verdict = f"{difference.verdict}{_explanation(difference)}{_turning(difference.turns_on)}"
    return difference.attack, difference.at, before, after, change, verdict


def _turning(artists: Sequence[str]) -> str:
    """Returns which artists a verdict turns on, in words; empty where it turns on none."""
    return f"; turns on {text.listed(list(artists))}: another verdict without" if artists else ""


def _explanation(difference: Difference) -> str:
    """Returns why a verdict is open and what would decide it, in words; empty where it is decided."""
    if difference.disagreeing:
        return f": not shown at equal {text.listed(list(difference.disagreeing))}"
    if difference.verdict is not Verdict.INCONCLUSIVE:
        return f": {difference.reason}" if difference.reason else ""
    ways = []
    for count, what in ((difference.seeds_needed, "seeds"), (difference.artists_needed, "artists")):
        if count is not None:
            ways.append(f"{count} {what}")
    if not ways:
        return f": {difference.reason}"
    least = text.number(difference.least, difference.least)
    return f": {difference.artists} artists show {least}; about {' or '.join(ways)} needed"
