"""The visibility that an entry reached: the limit that binds on each artist's images, and how much of it is used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import fmean

from cloakbench_leaderboards import text
from cloakbench_leaderboards.board.tables import CellKind, Row, Table, TableCell, TableColumn
from cloakbench_leaderboards.scores import visibility
from cloakbench_leaderboards.scores.evidence import BoardEntry, Evidence
from cloakbench_leaderboards.scores.setting import FIXED
from cloakbench_leaderboards.scores.visibility import LimitUse

COLUMN = TableColumn("Limit used", "mean over artists")


def cell(evidence: Evidence, entry: BoardEntry) -> TableCell:
    """Returns the share of the binding limit that an entry uses, with the metric that binds on most artists."""
    uses = _uses(evidence, entry)
    if not uses:
        return TableCell(text.NONE)
    share = fmean(use.share for use in uses)
    (metric, count), *_ = Counter(use.metric for use in uses).most_common(1)
    least, most = min(use.share for use in uses), max(use.share for use in uses)
    note = f"Share of the limit that binds, over artists {least:.0%} to {most:.0%}"
    return TableCell(f"{share:.0%}", share, detail=f"{text.name(metric)} on {count} of {len(uses)}", note=note)


def table(evidence: Evidence, entry: BoardEntry) -> Table | None:
    """Returns one row per artist: the limit that binds, its share in use, and each metric; None without limits."""
    uses = _uses(evidence, entry)
    if not uses:
        return None
    limits = evidence.setting.middle.limits
    columns = [TableColumn("Binds", kind=CellKind.WORDS), TableColumn("Of its limit")]
    for name, limit in limits.items():
        columns.append(TableColumn(text.name(name), f"limit {limit:g}"))
    rows = []
    for use in uses:
        rows.append(_row(text.name(use.artist), use.metric, use.share, [use.quality[name] for name in limits]))
    means = []
    for name in limits:
        means.append(fmean(use.quality[name] for use in uses))
    rows.append(_row("mean", "", fmean(use.share for use in uses), means))
    at = f"strength {evidence.focus(entry):.3g}"
    note = "A limit is used whole at 100 %. Decibels count as squared errors, a similarity from its highest value down."
    return Table(f"Visibility reached by artist, at {at}", "Artist", tuple(columns), tuple(rows), (note,))


def _row(head: str, metric: str, share: float, values: Sequence[float]) -> Row:
    cells = [TableCell(text.name(metric) if metric else "", kind=CellKind.WORDS), TableCell(f"{share:.0%}", share)]
    for value in values:
        cells.append(TableCell(text.quality(value), value))
    return Row(head, "", False, tuple(cells))


def _uses(evidence: Evidence, entry: BoardEntry) -> list[LimitUse]:
    if entry.facts.role in FIXED:
        return []
    return visibility.used(evidence.setting, entry.name, evidence.focus(entry))
