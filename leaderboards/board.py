"""The board as a view-model: every word and number of the page, worked out from records."""

from __future__ import annotations

from collections import Counter

from leaderboards import text
from leaderboards.coverage import Gap
from leaderboards.editing import editing
from leaderboards.evidence import CONTROLS, Evidence, gather
from leaderboards.headline import headline
from leaderboards.sections import attack_sections
from leaderboards.signal import Signal
from leaderboards.source import Loaded
from leaderboards.view import Board, GapView, MetricView, Pair, ProtectionView

LEVELS = {
    "quality": "protected image",
    "generation": "generated image",
    "set": "set of generations",
    "edit": "edited image",
}
CONTROL_WORDS = {
    "identity": "The images as they are: the clean arm that all is compared with. P is 0 without countermeasure.",
    "placebo": "Noise of 1/255, which protects nobody: what it moves is the noise of the measurement.",
    "random-noise": "Noise with the budget of the protections and no intelligence: what any real method has to beat.",
    "floor": "The base model, never trained on the artist: P is 1, as far as a mimic can be pushed back.",
}


def board(loaded: Loaded) -> Board:
    """Returns the leaderboard of a suite; the same records give the same board in whatever order they come."""
    evidence = gather(loaded)
    suite = evidence.suite
    demonstration = (
        f"Demonstration, no intervals: {len(evidence.artists)} artists show that the path works, not who is better."
    )
    return Board(
        suite=suite.name,
        version=suite.version,
        title=text.plain(suite.title),
        description=text.plain(suite.description, 1000),
        banner=text.plain(suite.banner, 1000),
        demonstration=demonstration if suite.demonstration else "",
        updated=max(record.created for record in evidence.records)[:10],
        explanation=_explanation(evidence),
        headline=headline(evidence),
        attacks=attack_sections(evidence),
        editing=editing(evidence),
        protections=_protections(evidence),
        controls=tuple(Pair(role, CONTROL_WORDS[role]) for role in CONTROLS),
        gaps=tuple(_gap(gap) for gap in evidence.gaps),
        no_signal=_no_signal(evidence.scores.signals),
        damaged=tuple(GapView(text.plain(d.path), "", "damaged", text.plain(d.reason)) for d in evidence.damaged),
        metrics=_metrics(evidence),
        environment=_environment(evidence),
        counts=_counts(evidence),
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


def _protections(evidence: Evidence) -> tuple[ProtectionView, ...]:
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
            )
        )
    return tuple(views)


def _gap(gap: Gap) -> GapView:
    strengths = text.listed([f"{strength:g}" for strength in gap.strengths])
    artists = text.listed([text.name(artist) for artist in gap.artists])
    count = f"{gap.cells} cell{'s' * (gap.cells != 1)}"
    where = f"{count} at strength {strengths}, {artists}"
    return GapView(f"{text.name(gap.protection)} · {text.name(gap.attack)}", where, gap.status, text.plain(gap.reason))


def _no_signal(signals: list[Signal]) -> tuple[GapView, ...]:
    grouped: dict[tuple[str, str, str], list[str]] = {}
    for signal in signals:
        if signal.reason:
            grouped.setdefault((signal.mimicry, signal.model, signal.reason), []).append(text.name(signal.artist))
    return tuple(
        GapView(f"{mimicry} on {model}", text.listed(artists), "no signal", reason)
        for (mimicry, model, reason), artists in grouped.items()
    )


def _metrics(evidence: Evidence) -> tuple[MetricView, ...]:
    chosen = evidence.suite.metrics
    primary = "the distance D that P is made of"
    used = {chosen.primary, *chosen.quality, *chosen.generation, *chosen.sets, *chosen.edit}
    return tuple(
        MetricView(
            name=metric.name,
            version=str(metric.version),
            kind=f"{LEVELS[metric.level]}{f'; {primary}' if metric.name == chosen.primary else ''}",
            unit=metric.unit or "none",
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
