"""The board as a view-model: every word and number of the page, worked out from records."""

from __future__ import annotations

import math
from collections import Counter

from cloakbench.store.reading import Loaded
from cloakbench_leaderboards import text
from cloakbench_leaderboards.board import equal_strength
from cloakbench_leaderboards.board.editing import editing
from cloakbench_leaderboards.board.headline import headline
from cloakbench_leaderboards.board.sections import attack_sections
from cloakbench_leaderboards.board.tables import interval_of
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
)
from cloakbench_leaderboards.data import coverage
from cloakbench_leaderboards.data.coverage import Gap
from cloakbench_leaderboards.scores import flags, gold, resolution
from cloakbench_leaderboards.scores.evidence import Evidence, gather
from cloakbench_leaderboards.scores.flags import Flags
from cloakbench_leaderboards.scores.signal import Signal
from cloakbench_leaderboards.scores.standings import CONTROLS
from cloakbench_leaderboards.scores.statistics import MIN_ARTISTS, Estimate

LEVELS = {
    "quality": "protected image",
    "generation": "generated image",
    "set": "set of generations",
    "edit": "edited image",
}
GOALS = (0.1, 0.05)
"""Differences of P that the planner is asked for."""
CONTROL_WORDS = {
    "identity": "The images as they are: the clean arm that all is compared with. P is 0 without countermeasure.",
    "placebo": "Noise of 1/255, which protects nobody: what it moves is the noise of the measurement.",
    "random-noise": "Noise with the budget of the protections and no intelligence: what any real method has to beat.",
    "floor": "The base model, never trained on the artist: P is 1, as far as a mimic can be pushed back.",
}


def board(loaded: Loaded) -> Board:
    """Returns the leaderboard of a suite; the same records give the same board in whatever order they come."""
    return view(gather(loaded))


def view(evidence: Evidence) -> Board:
    """Returns the leaderboard in the evidence."""
    suite = evidence.suite
    demonstration = (
        f"Demonstration, no intervals: {len(evidence.artists)} artists show that the path works, not who is better."
    )
    told = flags.flags(evidence)
    return Board(
        suite=suite.name,
        version=suite.version,
        title=text.plain(suite.title),
        description=text.plain(suite.description, 1000),
        banner=text.plain(suite.banner, 1000),
        demonstration=demonstration if suite.demonstration else "",
        updated=max(record.created for record in evidence.records)[:10],
        explanation=_explanation(evidence),
        gold=_gold(evidence),
        noise=_noise(evidence),
        headline=headline(evidence, told),
        equal_strength=equal_strength.at_strength(evidence),
        equal_protection=equal_strength.at_protection(evidence),
        attacks=attack_sections(evidence),
        editing=editing(evidence),
        protections=_protections(evidence, told),
        controls=tuple(Pair(role, CONTROL_WORDS[role]) for role in CONTROLS),
        gaps=tuple(_gap(gap) for gap in evidence.gaps),
        no_signal=_no_signal(evidence.scores.signals),
        damaged=tuple(GapView(text.plain(d.path), "", "damaged", text.plain(d.reason)) for d in evidence.damaged),
        metrics=_metrics(evidence),
        environment=_environment(evidence),
        counts=_counts(evidence),
        points=_points(evidence),
        entries=_entries(evidence),
    )


def _explanation(evidence: Evidence) -> tuple[str, ...]:
    suite = evidence.suite
    names = sorted({attack.model for attack in suite.attacks})
    models = f"base model{'s' * (len(names) > 1)} {text.listed(names)}"
    return (
        "A protection changes an artist's images a little; a mimic may clean them, fine-tunes a diffusion model on "
        "them and generates images in the artist's style.",
        "P says how much of what the mimic learns is taken away: 0 as from clean images, 1 as if the model had never "
        "seen the artist, below 0 closer to the artist than from clean images.",
        f"Measured on {len(evidence.artists)} artists with {suite.images_per_artist} images each, "
        f"{len(evidence.ranked)} attacks{', editing' * bool(evidence.edits)} and the {models}; "
        "every protected image is judged as the saved 8-bit file.",
    )


def _gold(evidence: Evidence) -> GoldRun | None:
    if not gold.has_gold_run(evidence.suite):
        return None
    found = gold.checks(evidence)
    failed = [check for check in found if not check.holds]
    words = ", ".join(check.name.lower() for check in failed)
    banner = f"Unofficial: {len(failed)} of {len(found)} conditions of the gold run fail ({words})." if failed else ""
    shown = tuple(CheckView(c.name, "holds" if c.holds else "fails", text.plain(c.words)) for c in found)
    return GoldRun(not failed, text.plain(banner, 2000), shown)


def _noise(evidence: Evidence) -> tuple[Pair, ...]:
    found = evidence.noise
    if len(evidence.artists) < MIN_ARTISTS:
        return ()
    told = []
    if math.isfinite(found.least_difference):
        shown = f"{text.number(found.least_difference, found.least_difference)} of P, with {found.artists} artists"
        needs = [(goal, resolution.artists_needed(found, goal, found.seeds)) for goal in GOALS]
        plan = ", ".join(f"{n} artists for {goal:g}" for goal, n in needs if n)
        told.append(Pair("Least difference", f"{shown}; {plan}" if plan else shown))
    if math.isfinite(found.placebo.value):
        shown = f"{text.number(found.placebo.value, _half(found.placebo))} ({_interval(found.placebo)})"
        told.append(Pair("Placebo", f"P {shown}: the noise floor under the same seeds"))
    if math.isfinite(found.seed):
        told.append(Pair("Another seed", f"moves an artist's share of P by {text.number(found.seed, found.seed)}"))
    return tuple(told)


def _points(evidence: Evidence) -> tuple[PointView, ...]:
    quality: dict[tuple[str, float], dict[str, float]] = {}
    for (name, strength, metric), estimate in evidence.quality.items():
        quality.setdefault((name, strength), {})[metric] = float(f"{estimate.value:.10g}")
    return tuple(
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
        for point in evidence.scores.summary.values()
    )


def _entries(evidence: Evidence) -> tuple[EntryView, ...]:
    found = evidence.standings
    return tuple(
        EntryView(
            protection=text.name(name),
            column=column.key,
            found=interval_of(estimate),
            artists=estimate.n,
            state=value.state,
            gate=value.gate,
            note=text.plain("; ".join(value.lacks) or value.note),
        )
        for column in found.columns.values()
        for name, value, estimate in zip(found.names, column.values, column.estimates, strict=True)
    )


def _half(estimate: Estimate) -> float:
    return (estimate.high - estimate.low) / 2


def _interval(estimate: Estimate) -> str:
    return text.interval(estimate.low, estimate.high) or "no interval"


def _protections(evidence: Evidence, told: Flags) -> tuple[ProtectionView, ...]:
    views = []
    for entry in evidence.entries:
        facts = entry.facts
        paper = text.link(facts.paper)
        budget = "L∞" if facts.budget == "linf" else text.plain(facts.budget, 20)
        views.append(
            ProtectionView(
                label=entry.label,
                title=text.plain(facts.title, 120),
                role="control" if entry.is_control else "submission",
                version=text.plain(facts.version, 20),
                distribution=text.name(facts.distribution),
                paper=paper,
                paper_text=text.plain(paper.removeprefix("https://").removeprefix("http://"), 60),
                licence=text.plain(facts.licence, 40),
                budget=budget,
                deterministic="yes" if facts.deterministic else "no",
                trust=evidence.trust[entry.name].label,
                evidence=text.plain(evidence.trust[entry.name].words, 200),
                family=text.name(flags.family(entry.name)),
                is_superseded=any(key == flags.SUPERSEDED for key, _ in told[entry.name]),
                flags=tuple(Pair(words, flags.MEANINGS[key]) for key, words in told[entry.name]),
            )
        )
    return tuple(views)


def _gap(gap: Gap) -> GapView:
    what = f"{text.name(gap.protection)} · {text.name(gap.attack)}"
    return GapView(what, coverage.where(gap), gap.status, text.plain(gap.reason))


def _no_signal(signals: list[Signal]) -> tuple[GapView, ...]:
    grouped: dict[tuple[str, str, str], list[str]] = {}
    for signal in signals:
        if signal.reason:
            grouped.setdefault((signal.mimicry, signal.model, signal.reason), []).append(text.name(signal.artist))
    return tuple(
        GapView(text.name(f"{mimicry} on {model}"), text.listed(artists), "no signal", text.plain(reason))
        for (mimicry, model, reason), artists in grouped.items()
    )


def _metrics(evidence: Evidence) -> tuple[MetricView, ...]:
    chosen = evidence.suite.metrics
    primary = "the distance D that P is made of"
    used = {chosen.primary, *chosen.quality, *chosen.generation, *chosen.sets, *chosen.edit}
    return tuple(
        MetricView(
            name=text.name(metric.name),
            version=str(metric.version),
            kind=f"{LEVELS[metric.level]}{f'; {primary}' if metric.name == chosen.primary else ''}",
            unit=text.plain(metric.unit, equal_strength.UNIT_LIMIT) or "none",
            better="↑ higher" if metric.higher_is_better else "↓ lower",
            summary=text.plain(metric.summary, 1000),
        )
        for metric in evidence.facts.metrics
        if metric.name in used
    )


def _environment(evidence: Evidence) -> tuple[Pair, ...]:
    records = evidence.records
    newest = max(records, key=lambda record: (record.created, record.key)).environment
    commits = sorted({f"{r.environment.commit[:12]}{'+dirty' if r.environment.dirty else ''}" for r in records})
    packages = ", ".join(f"{name} {version}" for name, version in sorted(newest.packages.items()))
    return (
        Pair("Environment class", text.plain(newest.env_class)),
        Pair("Device", f"{text.plain(newest.device)}, {newest.threads} thread{'s' * (newest.threads != 1)}"),
        Pair("Packages", text.plain(f"{packages}, libjpeg {newest.libjpeg}", 2000)),
        Pair("Commit", text.plain(text.listed(commits))),
        Pair("Salt", f"SHA-256 {text.plain(records[0].salt_digest, 64)}"),
    )


def _counts(evidence: Evidence) -> tuple[Pair, ...]:
    statuses = Counter(str(record.status) for record in evidence.records)
    left_out = [f"{count} {reason}" for reason, count in sorted(evidence.left_out.items())]
    return (
        Pair("Cells", f"{len(evidence.records)}: " + ", ".join(f"{n} {s}" for s, n in sorted(statuses.items()))),
        Pair("Records left out", "; ".join(left_out) or "none"),
        Pair("Damaged files", str(len(evidence.damaged))),
        Pair("Missing or failed", f"{sum(gap.cells for gap in evidence.gaps)} cells"),
        Pair(
            "Without signal",
            f"{sum(bool(s.reason) for s in evidence.scores.signals)} of {len(evidence.scores.signals)}",
        ),
    )
