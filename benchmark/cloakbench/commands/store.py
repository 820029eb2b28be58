"""Verbs that look after stores: verify, sign, merge, gc."""

from __future__ import annotations

import json as jsons
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cloakbench import progress
from cloakbench.commands.options import Flag, Records, RecordsOrArchive, StoreFolder, WhichSuite
from cloakbench.commands.terminal import FAULTS, open_source, print_values, require_source
from cloakbench.system.locations import default_store


def verify(
    source: RecordsOrArchive,
    *,
    suite: WhichSuite = None,
    board: Path | None = None,
    deep: Flag = False,
    seed: int | None = None,
    json: Flag = False,
) -> int:
    """Computes keys, digests, budgets, metrics and a board's numbers again. The exit code is 2 if one differs.

    Args:
        board: A `board.json` whose numbers must follow from these records.
        deep: Compute the metrics of all cells whose images or features are stored, not only of a sample.
        seed: Seed of the sample; a random number by default.
        json: Print an object with the numbers of checked records and images, and the problems.
    """
    from cloakbench.upkeep import archive

    require_source(source)
    archive.require_records(source)
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
        print(f"versions of stages and metrics: {verdict.compared} records compared with the commit that they name")
        for reason, count in verdict.not_compared.items():
            print(f"  not checked, {reason}: {count}")
    return FAULTS if verdict.problems else 0


def sign(source: Records, *, key: Path, suite: WhichSuite = None, json: Flag = False) -> int:
    """Signs the records that ran in a store: writes a manifest of their digests, signed with an OpenSSH key.

    Records that were merged or adopted are left out: sign them in the store in which they ran.

    Args:
        key: File of the private key; `ssh-keygen` asks for its passphrase.
        json: Print an object with the manifest's path and the number of records.
    """
    require_source(source)
    from cloakbench.upkeep.sign import sign_own

    return print_values(asdict(sign_own(source, suite, key)), json)


def merge(
    sources: Annotated[list[Path], Parameter(negative="")], /, *, store: StoreFolder = None, json: Flag = False
) -> int:
    """Copies records and images of other stores into one; each is verified first.

    Args:
        sources: Stores, folders of reference records, or archives that `cloakbench submit` made.
        json: Print an object with the numbers of records and files that were added.
    """
    from cloakbench.upkeep import archive

    for source in sources:
        require_source(source)
        archive.require_records(source)
    progress.say(f"verifying {len(sources)} sources; loading the libraries takes some seconds")
    from cloakbench.store.store import Store
    from cloakbench.upkeep.merge import merge as take

    return print_values(asdict(take(sources, Store(store or default_store()))), json)


def gc(*, store: StoreFolder = None, dry_run: Flag = False, json: Flag = False) -> int:
    """Removes images and features that no record refers to. Do not use it while a run writes to the store.

    Args:
        dry_run: Print how much would be removed, and remove nothing.
        json: Print an object with the numbers of stages and bytes that were removed.
    """
    from cloakbench.store.store import Store
    from cloakbench.upkeep.gc import clear

    return print_values(asdict(clear(Store(store or default_store()), dry_run)), json)
