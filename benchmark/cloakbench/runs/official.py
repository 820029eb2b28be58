"""Official runs: a secret salt, and nothing begins unless all that a published number rests on is known."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cloakbench.attacks import catalogue
from cloakbench.errors import UserError
from cloakbench.metrics import weights
from cloakbench.models import registry
from cloakbench.schemas.record import Environment
from cloakbench.schemas.suite import Suite
from cloakbench.submissions import checking
from cloakbench.submissions.sandbox import bubblewrap

PUBLIC_SALT = "public"
SHORTEST = 16
"""Characters of a secret salt: fewer could be guessed from the digest that records show."""


def read_salt(path: Path | None) -> str:
    """Returns the salt in a text file without white space around it, the public one for None; raises UserError."""
    if path is None:
        return PUBLIC_SALT
    hint = "Make one with: openssl rand -hex 32 > FILE"
    try:
        salt = path.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"expected a text file with a salt, got {path}: {error}", hint) from error
    if len(salt) < SHORTEST:
        raise UserError(f"expected a salt of at least {SHORTEST} characters in {path}, got {len(salt)}", hint)
    return salt


def require(suite: Suite, environment: Environment) -> None:
    """Raises UserError where a metric's weights, a model's lock or a clean git commit is missing."""
    weights.require(suite.metrics.every)
    registry.require_lock(catalogue.models(suite))
    _require_commit(environment)


def _require_commit(environment: Environment) -> None:
    if environment.commit and not environment.dirty:
        return
    got = f"changes on {environment.commit[:12]}" if environment.commit else "no git repository"
    raise UserError(
        f"expected an official run from a clean commit, got {got}", "Commit or remove the changes; use a git checkout."
    )


def require_accepted(spellings: Iterable[str]) -> None:
    """Raises UserError where `cloakbench check` refuses one of the protections, or no bubblewrap isolates them."""
    for spelling in spellings:
        bubblewrap.require()
        card = checking.check(spelling)
        failed = [f"{line.name}: {line.detail}" for line in card.checks if line.required and not line.passed]
        if failed:
            raise UserError(
                f"expected protections that `cloakbench check` accepts, got {spelling}: {'; '.join(failed)}",
                f"See it all: cloakbench check {spelling}. Leave it out by naming the others with --protection.",
            )


def require_essential(suite: Suite, calibrates: bool) -> None:
    """Raises UserError where weights are missing for the metrics of scores or of calibration."""
    limited = suite.matching.limited if suite.matching and calibrates else ()
    weights.require([suite.metrics.primary, *limited])
