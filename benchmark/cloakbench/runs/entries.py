"""Who runs: entries from names. The controls are ours and run here; a submission's code gets a process of its own."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
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


def entries(names: Sequence[str], store: Path) -> list[PlannedEntry]:
    """Returns the entries of a run: the controls, the floor, and the named (or all installed) protections.

    Without names, one that can't be built with its defaults is left out with a warning; a named one raises UserError or
    SubmissionError. No submission's process sees the folder `store`.
    """
    found = [PlannedEntry(FLOOR, None), *(entry(name, store) for name in CONTROLS)]
    spellings = dict.fromkeys(submissions.parse(name).identity for name in names)
    named = [entry(spelling, store) for spelling in spellings if spelling not in CONTROLS]
    return [*found, *(named if names else _all_others(store))]


def entry(spelling: str, store: Path) -> PlannedEntry:
    """Returns one entry; raises UserError or SubmissionError. Its process does not see the folder `store`."""
    variant = submissions.parse(spelling)
    offer = submissions.find(variant.name)
    if normalised(offer.distribution) == loading.CONTROLS:
        loaded = submissions.load(spelling)
        return PlannedEntry(loaded.facts(), loaded.instance)
    digest = submissions.package_digest(offer.distribution)
    worker = SandboxedSubmission(spelling, threads=torch.get_num_threads(), hidden=[store])
    claims = _claims(offer, spelling, digest, worker)
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
    for one in entries:
        if isinstance(one.instance, SandboxedSubmission):
            one.instance.close()


def _all_others(store: Path) -> list[PlannedEntry]:
    found = []
    for name in submissions.discover().names:
        if name not in CONTROLS:
            try:
                found.append(entry(name, store))
            except BenchmarkError as error:
                _log.warning("left out: %s", error.message)
    return found


def _claims(offer: Offer, spelling: str, digest: str, worker: SandboxedSubmission) -> Claims:
    """Returns what a protection says about itself; asked once for each state of its code, because it takes seconds.

    The answer is the only source of the entry's facts, and what its images are held to: a process that says something
    else later changes nothing.
    """
    name = hashlib.sha256(f"{offer.value} {offer.version} {spelling} {digest}".encode()).hexdigest()
    path = locations.cache() / "claims" / f"{name}.json"
    try:
        worker.claims = Claims.model_validate_json(path.read_bytes())
        return worker.claims
    except (OSError, ValidationError):
        with worker:
            claims = worker.load()
    try:
        write_whole(path, claims.model_dump_json().encode())
    except OSError as error:
        _log.debug("%s", error)
    return claims
