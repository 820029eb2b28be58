"""Verbs that tell what changed: canaries."""

from __future__ import annotations

from pathlib import Path

from benchmark.commands.terminal import Flag, print_told
from benchmark.errors import UserError
from benchmark.execute.choice import Choice
from benchmark.places import default_store


def canaries(suite: str = "mini", *, images: Path | None = None, store: Path | None = None, json: Flag = False) -> int:
    """Runs a few control cells once more, beside their records, and says what moved: the drift of the environment.

    Args:
        suite: Name of a suite, or path to its TOML file.
        images: Folder of images, as for `run`.
        store: Where records lie; ./results or $CLOAKBENCH_STORE by default.
        json: Print a list of objects: the cell, stages whose images differ, by how much the values moved.
    """
    from benchmark.suites.load import load

    load(suite)  # before the libraries load, which takes seconds
    from benchmark.execute import session as sessions
    from benchmark.execute.canaries import rerun
    from leaderboards import drift, source

    session = sessions.plan(Choice(suite, ("identity",), images), store or default_store())
    ran = rerun(session)
    if not ran:
        raise UserError(f"expected records of identity in {session.store.root}, got none", "Run the suite first.")
    records = source.load(session.store.root, session.suite.name).records
    return print_told(drift.drift(records, ran, session.suite.metrics.primary), drift.sentence, json)
