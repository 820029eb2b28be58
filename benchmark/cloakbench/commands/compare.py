"""Verbs that find changes: compare, regress, canaries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloakbench import progress
from cloakbench.commands.options import Flag, ImageFolder, StoreFolder, SuiteName, WhichSuite
from cloakbench.commands.terminal import print_sentences, require_source
from cloakbench.errors import UserError
from cloakbench.runs.choice import Choice
from cloakbench.schemas.kinds import Role
from cloakbench.system.locations import default_store

if TYPE_CHECKING:
    from cloakbench_leaderboards.versions.comparing import Comparison


def canaries(
    suite: SuiteName = "mini", *, images: ImageFolder = None, store: StoreFolder = None, json: Flag = False
) -> int:
    """Runs a few cells of references again and compares them with their records: the drift of the environment.

    Args:
        json: Print a list of objects: the cell, the stages whose images differ, the differences of the values.
    """
    from cloakbench.suites.load import load

    load(suite)  # before the libraries load, which takes seconds
    progress.say(f"running the canaries of {suite}; loading the libraries takes some seconds")
    from cloakbench.runs import session as sessions
    from cloakbench.runs.canaries import rerun
    from cloakbench.store import reading
    from cloakbench_leaderboards.versions import drift

    session = sessions.plan(Choice(suite, (Role.IDENTITY,), images), store or default_store())
    ran = rerun(session)
    if not ran:
        raise UserError(f"expected records of identity in {session.store.root}, got none", "Run the suite first.")
    records = reading.load(session.store.root, session.suite.name).records
    return print_sentences(drift.drift(records, ran, session.suite.metrics.primary), drift.sentence, json)


def compare(
    before: str,
    after: str,
    *,
    suite: WhichSuite = None,
    store: StoreFolder = None,
    json: Flag = False,
) -> int:
    """Compares two protections, versions, stores or commits, attack by attack, and prints how their recipes differ.

    Each side is a protection (`photoguard`), one version of it (`photoguard@0.1.0`), a store or folder of reference
    records (`FOLDER` or `FOLDER:photoguard`), or such a folder in a git commit (`REV:leaderboards/reference/mini`).
    A side without a folder is looked up in `--store`.

    Args:
        before: The side to compare with.
        after: The side to judge.
        json: Print a list of objects, one per protection.
    """
    progress.say("reading the records of both sides")
    from cloakbench import api

    return print_sentences(api.compare(before, after, suite=suite, store=store), _text, json)


def regress(
    *,
    baseline: str,
    store: StoreFolder = None,
    protection: str = "",
    suite: WhichSuite = None,
    json: Flag = False,
) -> int:
    """Compares every protection of a store with a baseline. The exit code is 1 if a protection regressed.

    Args:
        baseline: A store, a folder of reference records, or `REV:FOLDER` in a git commit.
        store: Folder of the records to judge.
        protection: Only this one, with its version if wanted; by default every protection that both have.
        json: Print a list of objects, one per protection.
    """
    folder = store or default_store()
    require_source(folder)
    progress.say(f"comparing {folder} with {baseline}")
    from cloakbench_leaderboards.versions import references
    from cloakbench_leaderboards.versions import regress as regressing

    after = references.inside(folder, protection)
    comparisons = regressing.comparisons(references.parse(baseline), after, folder, suite)
    print_sentences(comparisons, _text, json)
    if not json:
        print(regressing.sentence(comparisons))
    return regressing.exit_code(comparisons)


def _text(comparison: Comparison) -> str:
    from cloakbench_leaderboards.versions.regress import lines

    return "\n".join(lines(comparison))
