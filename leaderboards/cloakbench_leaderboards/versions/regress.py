"""Whether robustness regressed: every protection of some records against the same one in a baseline."""

from __future__ import annotations

from pathlib import Path

from cloakbench.errors import UserError
from cloakbench.store.reading import Loaded
from cloakbench_leaderboards import text
from cloakbench_leaderboards.versions import changes
from cloakbench_leaderboards.versions.comparing import Comparison, Difference, compare
from cloakbench_leaderboards.versions.references import Reference
from cloakbench_leaderboards.versions.sides import SideRequest, protections, sides
from cloakbench_leaderboards.versions.verdicts import Verdict


def comparisons(before: Reference, after: Reference, store: Path, suite: str | None = None) -> list[Comparison]:
    """Returns what `after` is beside `before`: the protection that is named, or each that both hold.

    A side without a folder is in `store`. Raises UserError where a side can't be read or nothing is on both.
    """
    old, new = before.load(store, suite), after.load(store, suite)
    found = []
    for one, other in _names(before, after, old, new, store):
        asked = (
            SideRequest(old, before.where(store), one, before.version),
            SideRequest(new, after.where(store), other, after.version),
        )
        found.append(compare(*sides(*asked)))
    return found


def has_regressed(found: list[Comparison]) -> bool:
    """Returns whether any protection regressed under any attack."""
    return any(each.verdict is Verdict.REGRESSED for each in found)


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
    return [(name, name) for name in shared]


def lines(found: Comparison) -> list[str]:
    """Returns a comparison as lines of text."""
    told = [f"{found.before} → {found.after}, suite {found.suite}: {found.verdict} (margin {found.margin:g} of P)"]
    told += [f"  note: {note}" for note in found.notes]
    told += [f"  changed: {_changed(change, found)}" for change in found.changes]
    told += ["  changed: nothing in any recipe"] * (bool(found.attacks) and not found.changes)
    quality = [f"{name} {text.number(old)} → {text.number(new)}" for name, old, new in found.quality]
    told += [f"  quality: {', '.join(quality)}"] * bool(quality)
    return [*told, *_table(found)]


def _changed(change: changes.Change, found: Comparison) -> str:
    everywhere = {each.attack for each in found.attacks} <= set(change.attacks)
    return changes.sentence(change) + ("" if everywhere else f" (under {text.listed(list(change.attacks))})")


def _table(found: Comparison) -> list[str]:
    heads = ("attack", "at", "P before", "after", "change (90 %)", "verdict")
    rows = [heads, *(_row(each) for each in found.attacks)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    padded = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [f"  {line}" for line in padded] if found.attacks else []


def _row(each: Difference) -> tuple[str, ...]:
    half = (each.high - each.low) / 2
    interval = text.interval(each.low, each.high)
    change = text.number(each.change, half) + (f" ({interval})" if interval else "")
    before, after = (text.number(value, half) for value in (each.before, each.after))
    return each.attack, each.at, before, after, change, f"{each.verdict}{_needed(each)}"


def _needed(each: Difference) -> str:
    """Returns why a verdict is open and what would decide it, in words; empty where it is decided."""
    if each.verdict is not Verdict.INCONCLUSIVE:
        return ""
    counts = ((each.seeds_needed, "seeds"), (each.artists_needed, "artists"))
    ways = " or ".join(f"{count} {what}" for count, what in counts if count is not None)
    if not ways:
        return f": {each.reason}"
    return f": {each.artists} artists show {text.number(each.least, each.least)}; about {ways} needed"
