"""The verb that keeps a board up to date: refresh."""

from __future__ import annotations

import dataclasses
import sys
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING

from cloakbench import progress
from cloakbench.commands.options import ALL, Flag, RunSelection, SuiteName
from cloakbench.commands.terminal import FAULTS, print_rows, refuse_unknown
from cloakbench.runs.choice import Choice
from cloakbench.runs.executors import ExecutorOptions

if TYPE_CHECKING:
    from cloakbench.upkeep.refresh import Due, Refreshed


def refresh(
    suite: SuiteName = "mini",
    *,
    selection: RunSelection = ALL,
    out: Path = Path("site"),
    workers: int = 1,
    unofficial: Flag = False,
    dry_run: Flag = False,
    json: Flag = False,
) -> int:
    """Runs missing and stale cells, builds the board, and prints what changed since the last one and why.

    It can be started twice, killed and started again. The exit code is 2 if cells failed for reasons of the machine;
    the next refresh runs them again.

    Args:
        out: Folder of the site.
        workers: Number of processes that run cells, each with the suite's threads.
        unofficial: Build the board even if checks with known answers fail; the page names them.
        dry_run: Print what is missing or stale; run and write nothing.
        json: Print the result as JSON.
    """
    choice = _choice(suite, selection)
    progress.say(f"looking for what is missing or stale of {suite}; loading the libraries takes some seconds")
    from cloakbench.upkeep import refresh

    root = selection.root
    if dry_run:
        return _say_due(refresh.due(choice, root), json)
    done = refresh.refresh(choice, root, out, ExecutorOptions(workers=workers), unofficial)
    print(dumps(dataclasses.asdict(done), sort_keys=True, default=str)) if json else _say(done, root)
    return FAULTS if done.lost else 0


def _choice(suite: str, selection: RunSelection) -> Choice:
    """Returns the choice; the suite is read before the models' libraries load."""
    from cloakbench.suites.load import load

    load(suite)
    choice = selection.choice(suite)
    refuse_unknown(choice.protections)
    return choice


def _say_due(due: list[Due], json: bool) -> int:
    if json:
        print_rows(due, True)
        return 0
    missing = rescored = 0
    for row in due:
        print(f"{row.protection}: {', '.join(f'{cells} {reason}' for reason, cells in row.reasons.items())}")
        missing += row.missing
        rescored += row.rescored
    print(f"missing: {missing}, of which measured again: {rescored}")
    return 0


def _say(done: Refreshed, root: Path) -> None:
    if done.busy:
        print(f"another refresh is at work on {root}; nothing to do", file=sys.stderr)
        return
    for line in (*done.moved, *done.canaries):
        print(line)
    address = Path(done.page).resolve().as_uri() if done.page else "none"
    print(f"rescored: {done.rescored}, ran: {done.ran}, lost: {done.lost}, leaderboard: {address}")
