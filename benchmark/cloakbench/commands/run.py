"""Verbs that fill a store: run, status, adopt."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cloakbench import progress
from cloakbench.commands.options import (
    ALL,
    Flag,
    Limit,
    Only,
    Records,
    RunSelection,
    StoreFolder,
    SuiteName,
    WhichSuite,
)
from cloakbench.commands.terminal import FAULTS, print_summary, print_values, refuse_unknown, require_source
from cloakbench.errors import UserError
from cloakbench.execute.duration import seconds
from cloakbench.runs.choice import Choice
from cloakbench.runs.executors import ExecutorOptions, Kind, choose
from cloakbench.store.running import is_running
from cloakbench.system.locations import default_store

if TYPE_CHECKING:
    from cloakbench.runs.session import Session
    from cloakbench.schemas.suite import Suite


def run(
    suite: SuiteName = "mini",
    *,
    selection: RunSelection = ALL,
    only: Only = None,
    limit: Limit = None,
    time_limit: str | None = None,
    executor: Kind | None = None,
    workers: int | None = None,
    address: str | None = None,
    device: Literal["cpu", "cuda"] | None = None,
    keep: Literal["images"] | None = None,
    dry_run: Flag = False,
    json: Flag = False,
) -> int:
    """Runs what is missing of a suite; run it again to resume.

    Args:
        time_limit: Start no cell after this time, such as 2h, 30m or 90s; cells that would not fit are not started.
        executor: Where cells run: `inline` in this process, `local` in several processes, `ray` on a Ray cluster.
            Default: `local` with several workers or GPUs, else `inline`.
        workers: Number of processes that run cells, each with the suite's threads or a GPU of its own.
        address: Address of a running Ray cluster, for `--executor ray`; by default Ray is started on this machine.
        device: `cpu` or `cuda`; by default a GPU. A suite that needs a GPU runs on a CPU only with `--device cpu`.
        keep: `images` keeps every generated image.
        dry_run: Print what would run, and run nothing.
        json: Print the result as JSON.
    """
    options = ExecutorOptions(executor, workers, address)
    limit_s = None if time_limit is None else seconds(time_limit)
    session = planned(selection.choice(suite, only, limit, device), selection.root)
    if dry_run:
        return print_values({**_size(session), "missing": len(session.missing())}, json)
    from cloakbench.runs import forecast
    from cloakbench.runs import session as sessions

    deadline = None if limit_s is None else forecast.within(session, limit_s)
    chosen = choose(options, session, keep == "images")
    outcomes = sessions.run(session, chosen, keep_images=keep == "images", time_limit=deadline)
    counts = session.counts()
    failed = sessions.failed(counts, outcomes)
    if not json:
        _print_end(session, sum(tally["missing"] for tally in counts.values()), selection.store)
    print_values({**_size(session), "ran": len(outcomes), "failed": failed}, json)
    return FAULTS if failed else 0


def _size(session: Session) -> dict[str, object]:
    """Returns how many cells a run has, and where its records go."""
    return {"cells": len(session.cells), "store": str(session.store.root)}


def _print_end(session: Session, missing: int, store: Path | None) -> None:
    """Prints the scores so far and the command to type next."""
    print_summary(session.store.root, session.suite.name)
    option = "" if store is None else f" --store {shlex.quote(str(store))}"
    if missing:
        print(f"{missing} cells are missing: run the same command again to go on")
    print(f"next: cloakbench board {session.suite.name}{option}")


def status(
    suite: SuiteName = "mini",
    *,
    selection: RunSelection = ALL,
    json: Flag = False,
) -> int:
    """Prints for each protection how many cells of a suite are done, failed or missing.

    Args:
        json: Print an object of counts by protection.
    """
    session = planned(selection.choice(suite), selection.root)
    counts = {name: dict(sorted(tally.items())) for name, tally in session.counts().items()}
    if json:
        return print_values(dict(counts), True)
    total = missing = 0
    for name, tally in counts.items():
        print(f"{name}: {_tally(tally)}")
        total += sum(tally.values())
        missing += tally.get("missing", 0)
    share = 100 * (total - missing) / max(total, 1)
    print(f"total: {total - missing} of {total} cells have run ({share:.0f} %), {missing} are missing")
    print("a run writes to this store now" if is_running(session.store.root) else "no run is on")
    return 0


def _tally(tally: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in tally.items())


def adopt(source: Records, *, suite: WhichSuite = None, store: StoreFolder = None, json: Flag = False) -> int:
    """Copies the records of another store or a reference folder, so that a run goes on from them.

    Args:
        json: Print an object with the numbers of records that were added, already there, and damaged, of searches
            for strengths and small pictures that came with them, and what was left out.
    """
    require_source(source)
    progress.say(f"reading the records in {source}")
    from cloakbench.store.store import Store
    from cloakbench.upkeep.adopt import adopt as take

    done = take(source, suite, Store(store or default_store()))
    values = asdict(done)
    if json:
        return print_values(values, True)
    del values["left_out"]
    print_values(values, False)
    for sentence in done.left_out:
        print(sentence)
    return 0


def planned(choice: Choice, store: Path) -> Session:
    """Returns the planned run; wrong names are refused first, because loading the models' libraries takes seconds."""
    from cloakbench.suites.load import load

    suite = load(choice.suite)
    refuse_unknown(choice.protections)
    _refuse_unknown_values(suite, choice.only)
    progress.say(f"planning {suite.name}; loading the libraries takes some seconds")
    from cloakbench.runs import session as sessions

    return sessions.plan(choice, store)


def _refuse_unknown_values(suite: Suite, only: Sequence[str]) -> None:
    """Raises UserError for an attack or artist in `--only` that the suite does not have."""
    names = {"attack": [attack.name for attack in suite.attacks], "artist": list(suite.artists)}
    for part in only:
        field, _, value = part.partition("=")
        if names.get(field) and value and value not in names[field]:
            close = difflib.get_close_matches(value, names[field], n=1)
            meant = f"Did you mean {close[0]!r}? " if close else ""
            expected = ", ".join(sorted(names[field]))
            raise UserError(f"expected {field} of {expected}, got {value}", f"{meant}Correct --only.")
