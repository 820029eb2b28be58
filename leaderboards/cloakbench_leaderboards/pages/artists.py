"""The page for artists: what protections can do, what they cannot, and how to use one."""

from __future__ import annotations

from collections.abc import Iterator

from cloakbench_leaderboards import text
from cloakbench_leaderboards.board.completeness import completeness, order
from cloakbench_leaderboards.board.findings import findings, share_words
from cloakbench_leaderboards.board.view import Pair
from cloakbench_leaderboards.parts import addresses, commands
from cloakbench_leaderboards.parts.page import Material, Page
from cloakbench_leaderboards.scores import aggregates, statistics
from cloakbench_leaderboards.scores.evidence import BoardEntry, Evidence

PATH = "artists.html"


def pages(material: Material) -> Iterator[Page]:
    """Yields the page."""
    evidence = material.evidence
    arranged = order(evidence)
    shown = findings(evidence, arranged, completeness(evidence))
    first = next(iter(arranged.complete), None)
    context: dict[str, object] = {"findings": shown, "first": "", "command_line": "", "cleaning": ()}
    if first is not None:
        context["first"] = first.label
        context["first_page"] = addresses.protection(first.name)
        context["command_line"] = commands.protect(first.facts, evidence.focus(first))
        context["cleaning"] = _cleaning(evidence, first)
    yield Page(PATH, "artists.html", "For artists", context, section=PATH)


def _cleaning(evidence: Evidence, entry: BoardEntry) -> tuple[Pair, ...]:
    """Returns the share of the imitation that an entry takes away after each cleaning trick, the most first."""
    setting = evidence.setting
    measured = []
    for spec in evidence.ranked:
        if spec.countermeasure is not None:
            value = aggregates.protection(setting, entry.subject, spec.name, setting.middle)
            estimate = statistics.estimates(value.artists[None]).at(0)
            if estimate.n:
                words = f"{share_words(estimate)}{_trick(evidence, spec.name)}"
                measured.append((estimate.value, Pair(text.name(spec.name), words)))
    measured.sort(key=lambda pair: -pair[0])
    return tuple(pair for _, pair in measured)


def _trick(evidence: Evidence, attack: str) -> str:
    """Returns what an attack does to the images, the first sentence of its explanation; or nothing."""
    facts = evidence.explained.get(attack)
    return f". {text.unmarked(facts.summary).split('. ')[0].rstrip('.')}." if facts else ""
