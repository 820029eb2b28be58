"""The searches for the strength of one protection, in words."""

from __future__ import annotations

from collections.abc import Iterator

from cloakbench_leaderboards import text
from cloakbench_leaderboards.board.view import Pair
from cloakbench_leaderboards.parts.lookup import Lookup
from cloakbench_leaderboards.scores.evidence import BoardEntry
from cloakbench_leaderboards.scores.matching import CalibratedStrength


def sentences(lookup: Lookup, entry: BoardEntry) -> Iterator[Pair]:
    """Yields the limits of each target, with the strengths that were tried and the one that was chosen."""
    tries = {}
    for record in lookup.own[entry.name]:
        if record.target is not None:
            tries[record.target] = record.calibration
    for target, calibrated in sorted(entry.subject.calibrations.items()):
        limits = text.limits(calibrated.limits)
        shown = []
        for strength, quality in tries.get(target, []):
            shown.append(f"{strength:g}: {_tried(quality, calibrated)}")
        count_words = f" {len(shown)} strengths tried: {'; '.join(shown)}." if shown else ""
        if calibrated.strength:
            words = f"Strength {calibrated.strength:.3g} was chosen so that changes stay under the limits.{count_words}"
        else:
            words = f"No strength stays under the limits.{count_words}"
        yield Pair(f"Limits {limits}", words)


def _tried(quality: dict[str, float], calibrated: CalibratedStrength) -> str:
    return ", ".join(text.quality(quality[name]) for name in calibrated.limits if name in quality)
