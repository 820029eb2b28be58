"""Verbs that look after stores: verify, sign, merge, gc."""

from __future__ import annotations

import json as jsons
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cloakbench.commands.terminal import FAULTS, Flag, print_values
from cloakbench.system.locations import default_store


def verify(source: Path, *, suite: str | None = None, board: Path | None = None, json: Flag = False) -> int:
    """Computes keys, digests and a board's numbers again from records; 2 where something does not fit.

    Args:
        source: A store, or a folder of reference records.
        suite: Which suite, where the source holds several.
        board: A `board.json` that has to follow from these records.
        json: Print an object with what was looked at and the problems.
    """
    from cloakbench.upkeep.verify import verify as look

    verdict = look(source, suite, board)
    if json:
        print(jsons.dumps(asdict(verdict), sort_keys=True))
    else:
        for problem in verdict.problems:
            print(problem)
        looked = f"{verdict.records} records ({verdict.signed} signed) and {verdict.images} images of {verdict.suite}"
        print(f"{looked}: {f'{len(verdict.problems)} faults' if verdict.problems else 'all fit'}")
    return FAULTS if verdict.problems else 0


def sign(source: Path, *, key: Path, suite: str | None = None, json: Flag = False) -> int:
    """Vouches for records: writes a manifest of their digests beside them, signed by a key of OpenSSH.

    Args:
        source: A store, or a folder of reference records.
        key: File of the private key; `ssh-keygen` asks for its passphrase.
        suite: Which suite, where the source holds several.
        json: Print an object with the manifest's path and the number of records.
    """
    from cloakbench.store import signing
    from cloakbench.store.reading import load

    records = load(source, suite).records
    return print_values({"manifest": str(signing.sign(source, records, key)), "records": len(records)}, json)


def merge(
    sources: Annotated[list[Path], Parameter(negative="")], /, *, store: Path | None = None, json: Flag = False
) -> int:
    """Fills one store from others; each is verified first.

    Args:
        sources: Stores, folders of reference records, or archives that `cloakbench submit` made.
        store: Where everything goes; ./results or $CLOAKBENCH_STORE by default.
        json: Print an object with how many records and files came in.
    """
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
