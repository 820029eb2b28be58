"""Builds the entries of a run from names. Controls run in this process, submissions in a sandboxed process each."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import ValidationError

from cloakbench import submissions
from cloakbench.cells.plan import FLOOR, PlannedEntry
from cloakbench.errors import BenchmarkError
from cloakbench.families import Family
from cloakbench.files import write_whole
from cloakbench.schemas.kinds import Role
from cloakbench.submissions import loading
from cloakbench.submissions.discovery import Offer
from cloakbench.submissions.loading import Claims
from cloakbench.submissions.naming import normalised
from cloakbench.submissions.sandbox.client import SandboxedSubmission
from cloakbench.system import locations

_log = logging.getLogger(__name__)
CONTROLS = tuple(str(role) for role in Role if role.is_control and role.has_images)


def entries(names: Sequence[str], store: Path, threads: int) -> list[PlannedEntry]:
    """Returns the entries of a run: the controls, the floor, and the protections.

    Args:
        names: Which protections; empty for all that are installed. Of these, one that cannot be built with its
            defaults is left out with a warning.
        store: A folder that no submission's process sees.
        threads: How many threads a submission's process computes with.

    Raises:
        UserError: A name is unknown or malformed.
        SubmissionError: A named protection cannot be built.
    """
    controls = [PlannedEntry(FLOOR, None), *(entry(name, store, threads) for name in CONTROLS)]
    if not names:
        return [*controls, *_all_others(store, threads)]
    spellings = dict.fromkeys(submissions.parse(name).identity for name in names)
    return [*controls, *(entry(spelling, store, threads) for spelling in spellings if spelling not in CONTROLS)]


def entry(spelling: str, store: Path, threads: int) -> PlannedEntry:
    """Returns one entry, as `entries` does; raises UserError or SubmissionError."""
    variant = submissions.parse(spelling)
    offer = submissions.find(variant.name)
    if normalised(offer.distribution) == loading.CONTROLS:
        loaded = submissions.load(spelling)
        return PlannedEntry(loaded.facts(), loaded.instance)
    digest = submissions.package_digest(offer.distribution)
    worker = SandboxedSubmission(spelling, threads=threads, hidden=[store])
    claims = ask_claims(offer, spelling, digest, worker)
    return PlannedEntry(loading.facts(offer, variant.parameters, digest, claims), worker)


def on_family(entries: Iterable[PlannedEntry], family: Family) -> list[PlannedEntry]:
    """Returns the entries with the parameters that each chooses for a surrogate of `family` in its facts."""
    resolved = []
    for planned in entries:
        worker = planned.instance
        claims = worker.claims if isinstance(worker, SandboxedSubmission) else None
        if claims is not None and claims.defaults.get(family):
            facts = planned.facts.model_copy(update={"settings": claims.defaults[family]})
            planned = PlannedEntry(facts, worker)
        resolved.append(planned)
    return resolved


def close(entries: Iterable[PlannedEntry]) -> None:
    """Ends the processes that submissions run in."""
    for planned in entries:
        if isinstance(planned.instance, SandboxedSubmission):
            planned.instance.close()


def _all_others(store: Path, threads: int) -> list[PlannedEntry]:
    others = []
    for name in submissions.discover().names:
        if name not in CONTROLS:
            try:
                others.append(entry(name, store, threads))
            except BenchmarkError as error:
                _log.warning("left out: %s", error.message)
    return others


def ask_claims(offer: Offer, spelling: str, digest: str, worker: SandboxedSubmission) -> Claims:
    """Returns what an entry says about itself: from the user's cache, or else from its process.

    Starting a process takes seconds, so it happens once per state of the code (`digest`). The answer is
    the only source of the entry's facts, and what its images are held to: a process that says something else later
    changes nothing.
    """
    path = claims_path(offer, spelling, digest)
    claims = _read_claims(path)
    if claims is None:
        with worker:
            claims = worker.load()
        _write_claims(path, claims)
    worker.claims = claims
    return claims


def claims_path(offer: Offer, spelling: str, digest: str) -> Path:
    """Returns the file of the user's cache for the claims of one state of a protection's code."""
    name = hashlib.sha256(f"{offer.value} {offer.version} {spelling} {digest}".encode()).hexdigest()
    return locations.cache() / "claims" / f"{name}.json"


def _read_claims(path: Path) -> Claims | None:
    try:
        return Claims.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def _write_claims(path: Path, claims: Claims) -> None:
    try:
        write_whole(path, claims.model_dump_json().encode())
    except OSError as error:
        _log.debug("%s", error)
