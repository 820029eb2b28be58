"""The verb that keeps a board up to date: refresh."""

from __future__ import annotations

import dataclasses
import sys
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING

from cloakbench import progress
from cloakbench.commands.terminal import FAULTS, Flag, Many, print_rows, refuse_unknown
from cloakbench.runs.choice import Choice
from cloakbench.runs.executors import ExecutorOptions
from cloakbench.system.locations import default_store

if TYPE_CHECKING:
    from cloakbench.upkeep.refresh import Due, Refreshed


def refresh(
    suite: str = "mini",
    *,
    protection: Many | None = None,
    images: Path | None = None,
    salt_file: Path | None = None,
    store: Path | None = None,
    out: Path = Path("site"),
    workers: int = 1,
    unofficial: Flag = False,
    dry_run: Flag = False,
    json: Flag = False,
) -> int:
    """Runs what is missing or stale, builds the board, and says what changed since the last one and why.

    Safe to be started twice, killed and started again. 2 where cells met a fault that the next refresh tries again.

    Args:
        suite: Name of a suite, or path to its TOML file.
        protection: Protections of the board; all installed by default. Controls come along.
        images: Folder of images, as for `run`.
        salt_file: File with the secret salt of an official run.
        store: Where records lie; ./results or $CLOAKBENCH_STORE by default.
        out: Folder of the site.
        workers: Processes that run cells side by side, each with the suite's threads.
        unofficial: Build the board though conditions of the gold run fail; the page says which.
        dry_run: Say what is missing or stale, and run and write nothing.
        json: Print the result as JSON.
    """
    asked = ExecutorOptions(workers=workers)
    choice = _choice(suite, protection, images, salt_file)
    progress.say(f"looking for what is missing or stale of {suite}; loading the libraries takes some seconds")
    from cloakbench.upkeep import refresh

    root = store or default_store()
    if dry_run:
        return _say_due(refresh.due(choice, root), json)
    done = refresh.refresh(choice, root, out, asked, unofficial)
    print(dumps(dataclasses.asdict(done), sort_keys=True, default=str)) if json else _say(done, root)
    return FAULTS if done.lost else 0


def _choice(suite: str, protection: Many | None, images: Path | None, salt_file: Path | None) -> Choice:
    """Returns the choice; the suite is read before the models' libraries load."""
    from cloakbench.suites.load import load

    load(suite)
    refuse_unknown(protection or ())
    return Choice(suite, protection or (), images, salt_file=salt_file)


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
