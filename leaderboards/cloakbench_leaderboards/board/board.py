"""The board as a view-model: every word and number of the pages, from records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from cloakbench.store.reading import Loaded
from cloakbench_leaderboards import text
from cloakbench_leaderboards.board import equal_strength
from cloakbench_leaderboards.board.curves import UNIT_LIMIT
from cloakbench_leaderboards.board.editing import editing
from cloakbench_leaderboards.board.headline import headline
from cloakbench_leaderboards.board.precision import precision
from cloakbench_leaderboards.board.sections import attack_sections
from cloakbench_leaderboards.board.tables import exact, interval_of
from cloakbench_leaderboards.board.view import (
    Board,
    CheckView,
    EntryView,
    GapView,
    GoldRun,
    MetricView,
    Pair,
    PointView,
    ProtectionView,
    pairs,
)
from cloakbench_leaderboards.board.words import CONTROL_WORDS
from cloakbench_leaderboards.data import coverage
from cloakbench_leaderboards.data.coverage import Gap
from cloakbench_leaderboards.scores import flags, gold
from cloakbench_leaderboards.scores.evidence import BoardEntry, Evidence, gather
from cloakbench_leaderboards.scores.flags import Flags
from cloakbench_leaderboards.scores.gold import GoldCondition, GoldVerdict
from cloakbench_leaderboards.scores.signal import Signal

LEVELS = {
    "quality": "protected image",
    "generation": "generated image",
    "set": "set of generations",
    "edit": "edited image",
}


def board(loaded: Loaded) -> Board:
    """Returns the leaderboard of a suite; the order of the records does not matter."""
    return view(gather(loaded))


def view(evidence: Evidence) -> Board:
    """Returns the leaderboard in the evidence."""
    suite, entry_flags = evidence.suite, flags.flags(evidence)
    return Board(
        suite=suite.name,
        version=suite.version,
        title=text.plain(suite.title),
        description=text.unmarked(suite.description),
        banner=text.unmarked(suite.banner),
        demonstration=_demonstration(evidence),
        updated=evidence.updated[:10],
        explanation=_explanation(evidence),
        gold=_gold(evidence),
        noise=precision(evidence),
        headline=headline(evidence, entry_flags),
        equal_strength=equal_strength.at_strength(evidence),
        equal_protection=equal_strength.at_protection(evidence),
        attacks=attack_sections(evidence),
        editing=editing(evidence),
        protections=tuple(_protection(evidence, entry, entry_flags) for entry in evidence.entries),
        controls=pairs(CONTROL_WORDS),
        gaps=tuple(map(_gap, evidence.gaps)),
        no_signal=no_signal(evidence.scores.signals),
        damaged=_damaged(evidence),
        metrics=_metrics(evidence),
        environment=_environment(evidence),
        counts=_counts(evidence),
        points=_points(evidence),
        entries=_entries(evidence),
    )


def _demonstration(evidence: Evidence) -> str:
    if not evidence.suite.demonstration:
        return ""
    artists = len(evidence.artists)
    return f"Demonstration, no intervals: {artists} artists show that the path works, not which protection is better."


def _damaged(evidence: Evidence) -> tuple[GapView, ...]:
    views = []
    for line in evidence.damaged:
        views.append(GapView(text.plain(line.path), "", "damaged", text.plain(line.reason)))
    return tuple(views)


def _explanation(evidence: Evidence) -> tuple[str, ...]:
    suite = evidence.suite
    names = sorted({attack.model for attack in suite.attacks})
    models = f"base model{'s' * (len(names) > 1)} {text.listed(list(map(text.name, names)))}"
    count = len(evidence.ranked)
    return (
        "A protection changes an artist's images a little; a mimic may clean them, fine-tunes a diffusion model on "
        "them and generates images in the artist's style.",
        "Protection score P: 0 means that the mimic imitates as well as from unprotected images, 1 that it learned "
        "nothing of the style. At 0.3 about a third of what it would have learned is lost.",
        f"Measured on {len(evidence.artists)} artists with {suite.images_per_artist} images each and "
        f"up to {count} attack{'s' * (count != 1)}{', editing' * bool(evidence.edits)} and the {models}; "
        "every protected image is judged as the saved 8-bit file.",
    )


def _gold(evidence: Evidence) -> GoldRun | None:
    if not gold.has_gold_run(evidence.suite):
        return None
    conditions = gold.checks(evidence)
    shown = []
    for check in conditions:
        shown.append(CheckView(check.name, check.verdict, text.plain(check.words)))
    return GoldRun(gold.overall(conditions), text.plain(_unofficial(conditions), 2000), tuple(shown))


def _unofficial(conditions: Sequence[GoldCondition]) -> str:
    """Returns which checks fail and which are not known yet; empty where all hold."""
    sentences = []
    for verdict, singular, plural in (
        (GoldVerdict.FAILS, "does not hold", "do not hold"),
        (GoldVerdict.UNKNOWN, "is not known yet", "are not known yet"),
    ):
        names = []
        for condition in conditions:
            if condition.verdict is verdict:
                names.append(f"“{condition.name.lower()}”")
        if names:
            sentences.append(f"{len(names)} {singular if len(names) == 1 else plural}: {'; '.join(names)}.")
    if not sentences:
        return ""
    return f"Unofficial. Of {len(conditions)} checks with known answers, {' '.join(sentences)}"


def _points(evidence: Evidence) -> tuple[PointView, ...]:
    quality: dict[tuple[str, float], dict[str, float]] = {}
    for (name, strength, metric), estimate in evidence.quality.items():
        quality.setdefault((name, strength), {})[metric] = exact(estimate.value)
    views = []
    for point in evidence.scores.summary.values():
        views.append(
            PointView(
                protection=text.name(point.protection),
                strength=point.strength,
                attack=text.name(point.attack),
                artists=point.p.n,
                p=interval_of(point.p),
                effect=interval_of(point.effect),
                distance=interval_of(point.distance),
                quality=quality.get((point.protection, point.strength), {}),
            )
        )
    return tuple(views)


def _entries(evidence: Evidence) -> tuple[EntryView, ...]:
    views = []
    for column in evidence.standings.columns.values():
        for name, value, estimate in zip(evidence.standings.names, column.values, column.estimates, strict=True):
            views.append(
                EntryView(
                    protection=text.name(name),
                    column=column.key,
                    estimate=interval_of(estimate),
                    artists=estimate.n,
                    state=value.state,
                    gate=value.gate,
                    note=text.plain("; ".join(value.lacks) or value.note),
                )
            )
    return tuple(views)


def _protection(evidence: Evidence, entry: BoardEntry, entry_flags: Flags) -> ProtectionView:
    facts, own_flags, paper = entry.facts, entry_flags[entry.name], text.link(entry.facts.paper)
    pairs = [Pair(words, flags.MEANINGS[key]) for key, words in own_flags]
    is_superseded = flags.SUPERSEDED in dict(own_flags)
    return ProtectionView(
        label=entry.label,
        title=text.plain(facts.title, 120),
        is_control=entry.is_control,
        version=text.plain(facts.version, 20),
        distribution=text.name(facts.distribution),
        paper=paper,
        paper_text=text.plain(paper.removeprefix("https://").removeprefix("http://"), 60),
        licence=text.plain(facts.licence, 40),
        budget="L∞" if facts.budget == "linf" else text.plain(facts.budget, 20),
        deterministic="yes" if facts.deterministic else "no",
        settings=tuple(Pair(text.name(name), text.plain(str(facts.settings[name]), 40)) for name in facts.settings),
        trust=evidence.trust[entry.name].label,
        evidence=text.plain(evidence.trust[entry.name].words, 200),
        family=text.name(flags.family(entry.name)),
        is_superseded=is_superseded,
        flags=tuple(pairs),
    )


def _gap(gap: Gap) -> GapView:
    what = f"{text.name(gap.protection)} · {text.name(gap.attack)}"
    return GapView(what, coverage.where(gap), gap.status, text.plain(gap.reason))


def no_signal(signals: list[Signal]) -> tuple[GapView, ...]:
    """Returns the artists on whom a mimicry is not scored, grouped by mimicry, model and reason."""
    grouped: dict[tuple[str, str, str, str], list[str]] = {}
    for signal in signals:
        if signal.reason:
            status = "no signal" if signal.is_tested else "not tested"
            group = (signal.mimicry, signal.model, status, signal.reason)
            grouped.setdefault(group, []).append(text.name(signal.artist))
    views = []
    for (mimicry, model, status, reason), artists in grouped.items():
        what = text.name(f"{mimicry} on {model}")
        views.append(GapView(what, text.listed(artists), status, text.plain(reason)))
    return tuple(views)


def _metrics(evidence: Evidence) -> tuple[MetricView, ...]:
    chosen = evidence.suite.metrics
    used = {chosen.primary, *chosen.quality, *chosen.generation, *chosen.sets, *chosen.edit}
    views = []
    for metric in evidence.facts.metrics:
        if metric.name not in used:
            continue
        primary = "; the distance D that P is made of" if metric.name == chosen.primary else ""
        views.append(
            MetricView(
                name=text.name(metric.name),
                version=str(metric.version),
                kind=f"{LEVELS[metric.level]}{primary}",
                unit=text.plain(metric.unit, UNIT_LIMIT).replace("^2", "²") or "none",
                better="↑ higher" if metric.higher_is_better else "↓ lower",
                summary=text.plain(metric.summary, 1000),
            )
        )
    return tuple(views)


def _environment(evidence: Evidence) -> tuple[Pair, ...]:
    records = evidence.records
    newest = max(records, key=lambda record: (record.created, record.key)).environment
    packages = ", ".join(f"{name} {version}" for name, version in sorted(newest.packages.items()))
    return (
        Pair("Environment class", text.plain(newest.env_class)),
        Pair("Device", f"{text.plain(newest.device)}, {newest.threads} thread{'s' * (newest.threads != 1)}"),
        Pair("Packages", text.plain(f"{packages}, libjpeg {newest.libjpeg}", 2000)),
        Pair("Commit", text.plain(text.listed(commits(evidence)))),
        Pair("Salt", f"SHA-256 {text.plain(records[0].salt_digest, 64)}"),
    )


def commits(evidence: Evidence) -> list[str]:
    """Returns the commits that made the records, sorted; `+dirty` marks one with local changes."""
    names = set()
    for record in evidence.records:
        names.add(f"{record.environment.commit[:12]}{'+dirty' * record.environment.dirty}")
    return sorted(names)


def _counts(evidence: Evidence) -> tuple[Pair, ...]:
    statuses = Counter(str(record.status) for record in evidence.records)
    left_out = text.counts(evidence.left_out, "; ")
    signals = evidence.scores.signals
    missing = sum(gap.cells for gap in evidence.gaps)
    without_signal = sum(bool(signal.reason) for signal in signals)
    return (
        Pair("Cells", f"{len(evidence.records)}: {text.counts(statuses)}"),
        Pair("Records left out", left_out or "none"),
        Pair("Damaged files", str(len(evidence.damaged))),
        Pair("Missing or failed", f"{missing} cells"),
        Pair("Without signal", f"{without_signal} of {len(signals)}"),
    )
