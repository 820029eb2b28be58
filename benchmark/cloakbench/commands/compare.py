"""Verbs that tell what changed: compare, regress, canaries."""

from __future__ import annotations

from pathlib import Path

from cloakbench.commands.terminal import Flag, print_told
from cloakbench.errors import UserError
from cloakbench.runs.choice import Choice
from cloakbench.schemas.kinds import Role
from cloakbench.system.locations import default_store


def canaries(suite: str = "mini", *, images: Path | None = None, store: Path | None = None, json: Flag = False) -> int:
    """Runs a few control cells once more, beside their records, and says what moved: the drift of the environment.

    Args:
        suite: Name of a suite, or path to its TOML file.
        images: Folder of images, as for `run`.
        store: Where records lie; ./results or $CLOAKBENCH_STORE by default.
        json: Print a list of objects: the cell, stages whose images differ, by how much the values moved.
    """
    from cloakbench.suites.load import load

    load(suite)  # before the libraries load, which takes seconds
    from cloakbench.runs import session as sessions
    from cloakbench.runs.canaries import rerun
    from cloakbench.store import reading
    from cloakbench_leaderboards.versions import drift

    session = sessions.plan(Choice(suite, (Role.IDENTITY,), images), store or default_store())
    ran = rerun(session)
    if not ran:
        raise UserError(f"expected records of identity in {session.store.root}, got none", "Run the suite first.")
    records = reading.load(session.store.root, session.suite.name).records
    return print_told(drift.drift(records, ran, session.suite.metrics.primary), drift.sentence, json)


def compare(
    before: str,
    after: str,
    *,
    suite: str | None = None,
    store: Path | None = None,
    json: Flag = False,
) -> int:
    """Compares two protections, versions, stores or commits, attack by attack, and says what changed between them.

    Each side is a protection (`photoguard`), one version of it (`photoguard@0.1.0`), a store or folder of reference
    records (`FOLDER` or `FOLDER:photoguard`), or such a folder in a git commit (`REV:leaderboards/reference/mini`).

    Args:
        before: What it was.
        after: What it is.
        suite: Which suite, where records hold several.
        store: Where sides without a folder lie; ./results or $CLOAKBENCH_STORE by default.
        json: Print a list of objects, one a protection.
    """
    from cloakbench_leaderboards.versions import references, regress

    sides = references.parse(before), references.parse(after)
    found = regress.comparisons(*sides, store or default_store(), suite)
    return print_told(found, lambda one: "\n".join(regress.lines(one)), json)


def regress(
    *,
    baseline: str,
    source: Path | None = None,
    protection: str = "",
    suite: str | None = None,
    json: Flag = False,
) -> int:
    """Compares every protection of a store with a baseline; 1 where one regressed, and only then.

    Args:
        baseline: A store, a folder of reference records, or `REV:FOLDER` in a git commit.
        source: The store, or folder of reference records, to judge; ./results or $CLOAKBENCH_STORE by default.
        protection: Only this one, with its version if you like; by default each that both hold.
        suite: Which suite, where records hold several.
        json: Print a list of objects, one a protection.
    """
    from cloakbench_leaderboards.versions import references
    from cloakbench_leaderboards.versions import regress as regressing

    place = source or default_store()
    after = references.inside(place, protection)
    found = regressing.comparisons(references.parse(baseline), after, place, suite)
    print_told(found, lambda one: "\n".join(regressing.lines(one)), json)
    return regressing.exit_code(found)
