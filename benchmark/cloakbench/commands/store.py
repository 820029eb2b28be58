"""Verbs that look after stores: verify, sign, merge, gc."""

from __future__ import annotations

import json as jsons
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cloakbench import progress
from cloakbench.commands.terminal import FAULTS, Flag, open_source, print_values, require_source
from cloakbench.system.locations import default_store


def verify(
    source: Path,
    *,
    suite: str | None = None,
    board: Path | None = None,
    deep: Flag = False,
    seed: int | None = None,
    json: Flag = False,
) -> int:
    """Computes keys, digests, budgets, metrics and a board's numbers again; 2 where something does not fit.

    Args:
        source: A store, a folder of reference records, or an archive that `cloakbench submit` made.
        suite: Which suite, where the source holds several.
        board: A `board.json` that has to follow from these records.
        deep: Compute the metrics of all cells again whose images or features are kept, in place of a sample.
        seed: What the sample is drawn with; a random number by default.
        json: Print an object with what was looked at and the problems.
    """
    require_source(source)
    progress.say(f"verifying the records in {source}; loading the libraries takes some seconds")
    from cloakbench.upkeep.verify import verify as check

    with open_source(source) as folder:
        verdict = check(folder, suite, board, is_deep=deep, seed=seed)
    if json:
        print(jsons.dumps(asdict(verdict), sort_keys=True))
    else:
        for problem in verdict.problems:
            print(problem)
        counts = f"{verdict.records} records ({verdict.signed} signed, {verdict.merged} merged)"
        again = f"{verdict.recomputed} metrics computed again (seed {verdict.seed})"
        result = f"{len(verdict.problems)} faults" if verdict.problems else "all fit"
        print(f"{counts}, {verdict.images} images and {again} of {verdict.suite}: {result}")
    return FAULTS if verdict.problems else 0


def sign(source: Path, *, key: Path, suite: str | None = None, json: Flag = False) -> int:
    """Vouches for the records that ran in a store: writes a manifest of their digests, signed by a key of OpenSSH.

    Records that were merged or adopted are left out: sign them in the store in which they ran.

    Args:
        source: A store.
        key: File of the private key; `ssh-keygen` asks for its passphrase.
        suite: Which suite, where the source holds several.
        json: Print an object with the manifest's path and the number of records.
    """
    require_source(source)
    from cloakbench.upkeep.sign import sign_own

    return print_values(asdict(sign_own(source, suite, key)), json)


def merge(
    sources: Annotated[list[Path], Parameter(negative="")], /, *, store: Path | None = None, json: Flag = False
) -> int:
    """Fills one store from others; each is verified first.

    Args:
        sources: Stores, folders of reference records, or archives that `cloakbench submit` made.
        store: Where everything goes; ./results or $CLOAKBENCH_STORE by default.
        json: Print an object with how many records and files came in.
    """
    for source in sources:
        require_source(source)
    progress.say(f"verifying {len(sources)} sources; loading the libraries takes some seconds")
    from cloakbench.store.store import Store
    from cloakbench.upkeep.merge import merge as take

    return print_values(asdict(take(sources, Store(store or default_store()))), json)


def gc(*, store: Path | None = None, dry_run: Flag = False, json: Flag = False) -> int:
    """Removes images and features that no record refers to. Not while a run writes to the store.

    Args:
        store: The store; ./results or $CLOAKBENCH_STORE by default.
        dry_run: Say how much it is, and remove nothing.
        json: Print an object with how many stages and bytes were removed.
    """
    from cloakbench.store.store import Store
    from cloakbench.upkeep.gc import clear

    return print_values(asdict(clear(Store(store or default_store()), dry_run)), json)
