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
    """Returns the named attacks of packages, on the model of the suite's first attack without a countermeasure.

    A countermeasure stands before the mimicry of that attack. The processes do not see the folder `store`.

    Raises:
        UserError: A name is unknown, offered as two kinds of attack, or taken by an attack of the suite.
        SubmissionError: A package can't be imported or built.
    """
    names = dict.fromkeys(submissions.parse(spelling).identity for spelling in spellings)
    return [_external(name, suite, store) for name in names]


def _external(spelling: str, suite: Suite, store: Path) -> ExternalAttack:
    if suite.has_attack(spelling):
        raise UserError(f"expected an attack that the suite {suite.name!r} lacks, got {spelling!r}", "Leave it out.")
    kind = find_kind(submissions.parse(spelling).name)
    offer = submissions.find(submissions.parse(spelling).name, kind=kind)
    digest = submissions.package_digest(offer.distribution)
    worker = SandboxedSubmission(spelling, hidden=[store], kind=kind)
    claims = ask(offer, spelling, digest, worker)
    package = AttackPackage(
        kind="mimicry" if kind is EntryKind.MIMICRY else "countermeasure",
        spelling=spelling,
        distribution=offer.distribution,
        version=offer.version,
        digest=digest,
        title=claims.title,
        paper=claims.paper,
        knowledge=claims.knowledge or "oblivious",
    )
    return on_suite(package, suite)


def on_suite(package: AttackPackage, suite: Suite) -> ExternalAttack:
    """Returns a package's attack as a suite runs it; raises UserError where all its attacks have countermeasures."""
    plain = _plain(suite)
    if package.kind == "mimicry":
        return ExternalAttack(name=package.spelling, mimicry=package.spelling, model=plain.model, package=package)
    shared = plain.model_dump(include={"mimicry", "model", "recipe"})
    return ExternalAttack(name=package.spelling, package=package, **shared)


def find_kind(name: str) -> EntryKind:
    """Returns what kind of attack is installed under a name; raises UserError where there is none, or two."""
    offering: list[EntryKind] = []
    names: set[str] = set()
    for kind in (EntryKind.COUNTERMEASURE, EntryKind.MIMICRY):
        offers = submissions.discover(kind=kind).names
        names |= set(offers)
        if name in offers:
            offering.append(kind)
    if len(offering) > 1:
        raise UserError(
            f"expected one attack called {name!r}, got a countermeasure and a mimicry", "Uninstall one of the packages."
        )
    if not offering:
        raise UserError(
            f"expected an installed countermeasure or mimicry, got {name!r}",
            submissions.describe_installed(names),
        )
    return offering[0]


def _plain(suite: Suite) -> AttackSpec:
    """Returns the suite's first attack that imitates without a countermeasure; raises UserError where it has none."""
    for attack in suite.attacks:
        if catalogue.is_ranked(attack) and not attack.countermeasures:
            return attack
    raise UserError(f"expected an attack without countermeasure in {suite.name!r}, got none", "Choose another suite.")
