"""Attacks of installed packages, planned in addition to a suite's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cloakbench import submissions
from cloakbench.attacks import catalogue
from cloakbench.errors import UserError
from cloakbench.schemas.external import AttackPackage, ExternalAttack
from cloakbench.schemas.suite import AttackSpec, Suite
from cloakbench.submissions import EntryKind
from cloakbench.submissions.claims import ask
from cloakbench.submissions.sandbox.client import SandboxedSubmission


def external(spellings: Sequence[str], suite: Suite, store: Path) -> list[ExternalAttack]:
    """Returns the named countermeasures of packages, each before the mimicry of the suite's first attack without one.

    Their processes do not see the folder `store`.

    Raises:
        UserError: A name is unknown or taken by an attack of the suite.
        SubmissionError: A package can't be imported or built.
    """
    names = dict.fromkeys(submissions.parse(spelling).identity for spelling in spellings)
    return [_external(name, suite, store) for name in names]


def _external(spelling: str, suite: Suite, store: Path) -> ExternalAttack:
    if spelling in {attack.name for attack in suite.attacks}:
        raise UserError(f"expected an attack that the suite {suite.name!r} lacks, got {spelling!r}", "Leave it out.")
    offer = submissions.find(submissions.parse(spelling).name, kind=EntryKind.COUNTERMEASURE)
    digest = submissions.package_digest(offer.distribution)
    worker = SandboxedSubmission(spelling, hidden=[store], kind=EntryKind.COUNTERMEASURE)
    claims = ask(offer, spelling, digest, worker)
    plain = _plain(suite)
    package = AttackPackage(
        spelling=spelling,
        distribution=offer.distribution,
        version=offer.version,
        digest=digest,
        title=claims.title,
        paper=claims.paper,
        knowledge=claims.knowledge or "oblivious",
    )
    return ExternalAttack(name=spelling, mimicry=plain.mimicry, model=plain.model, package=package)


def _plain(suite: Suite) -> AttackSpec:
    """Returns the suite's first attack that imitates without a countermeasure; raises UserError where it has none."""
    for attack in suite.attacks:
        if catalogue.is_ranked(attack) and not attack.countermeasures:
            return attack
    raise UserError(f"expected an attack without countermeasure in {suite.name!r}, got none", "Choose another suite.")
