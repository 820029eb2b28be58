"""Tables of the method page: attacks, metrics, and the outcomes of a run."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

from markupsafe import Markup

from cloakbench.schemas.kinds import Status
from cloakbench.schemas.suite import AttackSpec, MetricFacts
from cloakbench_leaderboards import text
from cloakbench_leaderboards.board import sections
from cloakbench_leaderboards.board.board import LEVELS
from cloakbench_leaderboards.board.tables import Row, Table, word_cells, word_columns
from cloakbench_leaderboards.board.view import Pair, pairs
from cloakbench_leaderboards.parts import addresses, markdown
from cloakbench_leaderboards.parts.lookup import Lookup
from cloakbench_leaderboards.scores.scores import OWN_FAULT

EMPTY = Markup()
STATUSES: dict[str, str] = {
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
    """Computed quantities and their formulas."""
    sentences: tuple[str, ...] = ()
    pairs: tuple[Pair, ...] = ()
    table: Table | None = None
    html: Markup = EMPTY
    """A document of the project."""


def attacks(lookup: Lookup) -> Section:
    """Returns every attack with its settings, its versions and the number of artists that it learned from."""
    # Stores of earlier runs have none.
    has_limits = any(facts.limits for facts in lookup.explained.values())
    versions = _versions(lookup)
    rows = []
    for spec in lookup.attacks:
        words = _attack_words(lookup, spec, versions.get(spec.name, {}), has_limits)
        cells = word_cells(words, 2000)
        rows.append(Row(text.name(spec.name), "", False, cells, addresses.attack(spec.name)))
    labels = ["Stages", "What the attacker does", "Settings", "Versions", "Learned from"]
    labels += ["What it cannot show"] * has_limits
    columns = word_columns(labels)
    sentences = (
        "The mimic has the protected images with captions that name their subjects and a rare token: no clean "
        "image, and no knowledge of the protection. An attack that is stronger than these may leave less.",
    )
    table = Table("Attacks", "Attack", columns, tuple(rows))
    return Section("attacks", "Attacks", sentences=sentences, table=table)


def _versions(lookup: Lookup) -> dict[str, dict[str, int]]:
    versions: dict[str, dict[str, int]] = {}
    for record in lookup.evidence.records:
        versions.setdefault(record.attack.name, {}).update(record.attack.versions)
    return versions


def _attack_words(lookup: Lookup, spec: AttackSpec, versions: dict[str, int], has_limits: bool) -> list[str]:
    facts = lookup.explained.get(spec.name)
    settings = "; ".join(f"{pair.label}: {pair.words}" for pair in sections.settings(facts))
    listed = ", ".join(f"{name} {number}" for name, number in sorted(versions.items()))
    learned = "edits: outside the ranking" if lookup.is_edit(spec) else lookup.learned_words(spec)
    words = [
        sections.chain(spec),
        text.unmarked(facts.summary) if facts else "",
        settings,
        listed or "no record",
        learned,
    ]
    if has_limits:
        words.append(text.unmarked(facts.limits, 2000) if facts else "")
    return words


def metrics(lookup: Lookup) -> Section:
    """Returns every metric of the suite with unit, range, direction and weights."""
    used = lookup.evidence.suite.metrics.every
    chosen = []
    for metric in lookup.evidence.facts.metrics:
        if metric.name in used:
            chosen.append(metric)
    rows = []
    for metric in sorted(chosen, key=lambda metric: used.index(metric.name)):
        cells = word_cells(_metric(metric), 1000)
        detail = "D" if metric.name == lookup.evidence.suite.metrics.primary else ""
        rows.append(Row(text.name(metric.name), detail, False, cells))
    labels = ("Applies to", "Unit", "Range", "Better for the artist", "Version", "Weights", "Definition")
    columns = word_columns(labels)
    table = Table("Metrics in their own units", "Metric", columns, tuple(rows))
    return Section("metrics", "Metrics", table=table)


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
    """Returns the possible outcomes of a run, and which of them count."""
    counted = ", ".join(OWN_FAULT)
    sentences = (
        f"Nothing is filled in. A submission's own fault ({counted}) counts as P = 0 on that artist. A cell that is "
        "absent, skipped or lost by the infrastructure is not scored: the number stands on what is there, says what "
        "is missing, and the protection carries no rank.",
    )
    return Section("missing", "Outcome of a single run", sentences=sentences, pairs=pairs(STATUSES))


def security() -> Section:
    """Returns what is trusted of submissions and what is not: the benchmark's own document."""
    document = resources.files("cloakbench.submissions").joinpath("SECURITY.md").read_text(encoding="utf-8")
    title = "Security of submissions"
    return Section("security", title, html=markdown.to_html(document, title))
