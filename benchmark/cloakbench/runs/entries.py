"""Builds the entries of a run from names. Controls run in this process, submissions in a sandboxed process each."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

from cloakbench import progress, submissions
from cloakbench.cells.plan import FLOOR, PlannedEntry
from cloakbench.errors import BenchmarkError
from cloakbench.families import Family
from cloakbench.metrics import clips
from cloakbench.schemas.kinds import Role
from cloakbench.schemas.suite import Suite
from cloakbench.submissions import loading, source_facts
from cloakbench.submissions.claims import ask
from cloakbench.submissions.discovery import Offer
from cloakbench.submissions.loading import Claims
from cloakbench.submissions.naming import normalised
from cloakbench.submissions.sandbox.client import Limits, SandboxedSubmission

_log = logging.getLogger(__name__)
CONTROLS = tuple(str(role) for role in Role if role.is_control and role.has_images)


def entries(names: Sequence[str], store: Path, threads: int, limits: Limits | None = None) -> list[PlannedEntry]:
    """Returns the entries of a run: the controls, the floor, and the protections.

    Args:
        names: Which protections; empty for all that are installed and need no parameter, such as a folder. Of these,
            one that cannot be built is left out with a warning.
        store: A folder that is hidden from submissions.
        threads: How many threads a submission's process computes with.
        limits: What one call of a submission may use; the default limits where None.

    Raises:
        UserError: A name is unknown or malformed.
        SubmissionError: A named protection cannot be built.
    """
    controls = [PlannedEntry(FLOOR, None), *(entry(name, store, threads, limits) for name in CONTROLS)]
    if not names:
        return [*controls, *_all_others(store, threads, limits)]
    spellings = dict.fromkeys(submissions.parse(name).identity for name in names)
    named = [entry(spelling, store, threads, limits) for spelling in spellings if spelling not in CONTROLS]
    return [*controls, *named]


def entry(spelling: str, store: Path, threads: int, limits: Limits | None = None) -> PlannedEntry:
    """Returns one entry, as `entries` does; raises UserError or SubmissionError."""
    variant = submissions.parse(spelling)
    offer = submissions.find(variant.name)
    if normalised(offer.distribution) == loading.CONTROLS:
        loaded = submissions.load(spelling)
        return PlannedEntry(loaded.facts(), loaded.instance)
    digest = submissions.package_digest(offer.distribution)
    worker = SandboxedSubmission(spelling, limits, threads=threads, hidden=[store])
    claims = ask(offer, spelling, digest, worker)
    return PlannedEntry(loading.facts(offer, variant.parameters, digest, claims), worker)


def on_family(entries: Iterable[PlannedEntry], family: Family) -> list[PlannedEntry]:
    """Returns the entries with what each takes for a surrogate of `family` in its facts: parameters, a CLIP."""
    resolved = []
    for planned in entries:
        worker = planned.instance
        claims = worker.claims if isinstance(worker, SandboxedSubmission) else None
        if claims is not None:
            clip = [clips.name_for(family)] if "clip" in claims.needs else []
            changes = {
                "settings": claims.defaults.get(family, {}),
                "looked_into": [*planned.facts.looked_into, *clip],
            }
            planned = PlannedEntry(planned.facts.model_copy(update=changes), worker)
        resolved.append(planned)
    return resolved


def close(entries: Iterable[PlannedEntry]) -> None:
    """Ends the processes that submissions run in."""
    for planned in entries:
        if isinstance(planned.instance, SandboxedSubmission):
            planned.instance.close()


def call_limits(suite: Suite) -> Limits:
    """Returns what a suite allows one call of a submission."""
    return Limits(seconds=suite.limits.seconds, memory_bytes=round(suite.limits.memory_gib * 2**30))


def claims_of(entries: Iterable[PlannedEntry]) -> dict[str, Claims]:
    """Returns what submissions say about themselves, by the entry's name; controls say nothing."""
    claims = {}
    for planned in entries:
        if isinstance(planned.instance, SandboxedSubmission) and planned.instance.claims is not None:
            claims[planned.facts.name] = planned.instance.claims
    return claims


def _all_others(store: Path, threads: int, limits: Limits | None) -> list[PlannedEntry]:
    others = []
    offers = submissions.discover().offers
    names = sorted({offer.name for offer in offers if offer.name not in CONTROLS and not _needs_parameters(offer)})
    for name in progress.track(names, len(names), "protections looked at"):
        try:
            others.append(entry(name, store, threads, limits))
        except BenchmarkError as error:
            _log.warning("%s is left out: %s", name, error.message)
    return others


def _needs_parameters(offer: Offer) -> bool:
    """Returns whether a protection cannot run without parameters, as far as its source shows."""
    try:
        return bool(source_facts.read(offer).required)
    except BenchmarkError:  # building it says what is wrong
        return False
