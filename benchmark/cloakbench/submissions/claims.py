"""What a protection says about itself: asked in a process of its own, and remembered for each state of its code."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

from pydantic import ValidationError

from cloakbench.files import write_whole
from cloakbench.submissions.discovery import Offer
from cloakbench.submissions.loading import Claims
from cloakbench.submissions.sandbox.client import SandboxedSubmission
from cloakbench.system import locations

_log = logging.getLogger(__name__)


def ask(offer: Offer, spelling: str, digest: str, worker: SandboxedSubmission) -> Claims:
    """Returns what a protection says about itself: from the user's cache, or else from its process.

    Starting a process takes seconds, so it happens once per state of the code (`digest`). The answer is the only source
    of the entry's facts, and what its images are held to: a process that says something else later changes nothing.

    Args:
        offer: The protection.
        spelling: Its name with parameters.
        digest: SHA-256 of its package.
        worker: Its process, which gets the claims too.
    """
    path = file(offer, spelling, digest)
    claims = _read(path)
    if claims is None:
        with worker:
            claims = worker.load()
        _write(path, claims)
    worker.claims = claims
    return claims


def file(offer: Offer, spelling: str, digest: str) -> Path:
    """Returns the file of the user's cache for the claims of one state of a protection's code."""
    name = hashlib.sha256(f"{offer.value} {offer.version} {spelling} {digest}".encode()).hexdigest()
    return locations.cache() / "claims" / f"{name}.json"


def _read(path: Path) -> Claims | None:
    try:
        return Claims.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def _write(path: Path, claims: Claims) -> None:
    try:
        write_whole(path, claims.model_dump_json().encode())
    except OSError as error:
        _log.debug("%s", error)
