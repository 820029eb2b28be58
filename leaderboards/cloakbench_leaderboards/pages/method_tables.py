"""Tables of the method page: attacks, metrics, and how a cell can end."""

from __future__ import annotations

from dataclasses import dataclass

from cloakbench.schemas.record import Status
from cloakbench.schemas.suite import MetricFacts
from cloakbench_leaderboards import text
from cloakbench_leaderboards.board import sections
from cloakbench_leaderboards.board.board import LEVELS
from cloakbench_leaderboards.board.grid import HeadedRow, HeadedTable
from cloakbench_leaderboards.board.tables import TableCell, TableColumn
from cloakbench_leaderboards.board.view import Pair
from cloakbench_leaderboards.parts import addresses
from cloakbench_leaderboards.parts.lookup import Lookup
from cloakbench_leaderboards.scores.scores import OWN_FAULT

STATUSES = {
    Status.OK: "measured",
    Status.INVALID_OUTPUT: "the submission broke its contract or budget: counts as no protection",
    Status.FAILED: "the submission raised: counts as no protection",
    Status.OOM: "out of memory: no protection where the submission's own code was, not scored where an attack was",
    Status.TIMEOUT: "the submission took too long: counts as no protection",
    Status.SKIPPED: "no strength meets the target of quality: not scored",
    Status.NO_SIGNAL: "the attack did not learn from the artist: not scored",
    Status.INFRA_ERROR: "a fault of disk, memory, device or harness: not scored, and run again",
}


@dataclass(frozen=True, slots=True)
class Section:
    """One section of the page."""

    anchor: str
    title: str
    formulas: tuple[Pair, ...] = ()
    """What is computed, and how."""
    sentences: tuple[str, ...] = ()
    pairs: tuple[Pair, ...] = ()
    grid: HeadedTable | None = None


def attacks(look: Lookup) -> Section:
    """Returns every attack with its settings, its versions and from how many artists it learned."""
    versions: dict[str, dict[str, int]] = {}
    for record in look.evidence.records:
        versions.setdefault(record.attack.name, {}).update(record.attack.versions)
    artists = len(look.evidence.artists)
    # Stores of earlier runs have none.
    has_limits = any(facts.limits for facts in look.explained.values())
    lines = []
    for spec in look.attacks:
        facts = look.explained.get(spec.name)
        settings = "; ".join(f"{pair.label}: {pair.words}" for pair in sections.settings(facts))
        known = ", ".join(f"{name} {number}" for name, number in sorted(versions.get(spec.name, {}).items()))
        learned = (
            "edits: beside the ranking" if look.is_edit(spec) else f"{artists - len(look.no_signal(spec))} of {artists}"
        )
        words = [sections.chain(spec), facts.summary if facts else "", settings, known or "no record", learned]
        words += [facts.limits if facts else ""] * has_limits
        cells = tuple(TableCell(text.plain(each, 2000), kind="words") for each in words)
        lines.append(HeadedRow(text.name(spec.name), addresses.attack(spec.name), "", False, cells))
    labels = ["Stages", "What the attacker does", "Settings", "Versions", "Learned from"]
    labels += ["What it cannot show"] * has_limits
    columns = tuple(TableColumn(label, kind="words") for label in labels)
    sentences = (
        "The mimic has the protected images with captions that name their subjects and a rare token: no clean "
        "image, and no knowledge of the protection. An attack that is stronger than these may leave less.",
    )
    return Section(
        "attacks", "Attacks", sentences=sentences, grid=HeadedTable("Attacks", "Attack", columns, tuple(lines))
    )


def metrics(look: Lookup) -> Section:
    """Returns every metric of the suite with unit, range, direction and weights."""
    used = look.evidence.suite.metrics.every
    lines = tuple(
        HeadedRow(
            text.name(metric.name),
            "",
            "D" if metric.name == look.evidence.suite.metrics.primary else "",
            False,
            tuple(TableCell(text.plain(words, 1000), kind="words") for words in _metric(metric)),
        )
        for metric in sorted(look.evidence.facts.metrics, key=lambda each: _position(used, each.name))
        if metric.name in used
    )
    labels = ("Of each", "Unit", "Range", "Better for the artist", "Version", "Weights", "What it is")
    columns = tuple(TableColumn(label, kind="words") for label in labels)
    return Section("metrics", "Metrics", grid=HeadedTable("Metrics in their own units", "Metric", columns, lines))


def _position(used: list[str], name: str) -> int:
    return used.index(name) if name in used else len(used)


def _metric(metric: MetricFacts) -> tuple[str, ...]:
    return (
        LEVELS[metric.level],
        metric.unit or "none",
        _range(metric.low, metric.high),
        "higher" if metric.higher_is_better else "lower",
        str(metric.version),
        ", ".join(metric.weights) or "none",
        metric.summary,
    )


def _range(low: float | None, high: float | None) -> str:
    """Returns the values that a metric may have.

    Example:
        >>> _range(0, 1), _range(0, None), _range(None, None)
        ('0 to 1', 'from 0', 'any')
    """
    if low is None:
        return "any" if high is None else f"up to {high:g}"
    return f"from {low:g}" if high is None else f"{low:g} to {high:g}"


def missing() -> Section:
    """Returns what a cell can end as, and what of it counts."""
    counted = ", ".join(OWN_FAULT)
    sentences = (
        f"Nothing is filled in. A submission's own fault ({counted}) counts as P = 0 on that artist. A cell that is "
        "absent, skipped or lost by the infrastructure is not scored: the number stands on what is there, says what "
        "is missing, and the entry carries no rank.",
    )
    pairs = tuple(Pair(str(status), words) for status, words in STATUSES.items())
    return Section("missing", "What a cell can end as", sentences=sentences, pairs=pairs)
