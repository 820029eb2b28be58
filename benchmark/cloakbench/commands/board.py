"""Verbs that show what is installed and what was measured: list, doctor, board, boards, export, survey."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from cloakbench import progress
from cloakbench.commands.options import Flag, ImageFolder, StoreFolder, WhichSuite
from cloakbench.commands.terminal import (
    FAULTS,
    PYIQA_LICENCE,
    open_source,
    print_evidence,
    print_rows,
    print_values,
)
from cloakbench.system.locations import default_store

Kind = Literal["protections", "attacks", "metrics", "suites", "models"]


def list_kind(kind: Kind = "protections", *, json: Flag = False) -> int:
    """Lists protections, attacks, metrics, suites or models.

    Args:
        kind: What to list.
        json: Print a list of objects with name, version, kind and summary; of protections also year and paper.
    """
    from cloakbench.listing import KINDS

    print_rows(KINDS[kind](), json)
    if kind == "metrics" and not json:
        print(f"\n{PYIQA_LICENCE}")
    return 0


def doctor(
    *, suite: str | None = None, images: ImageFolder = None, store: StoreFolder = None, json: Flag = False
) -> int:
    """Checks whether everything that a run needs is on this machine.

    Args:
        suite: Check only this suite's models and images.
        json: Print a list of objects with name, state and detail.
    """
    if suite is not None:
        _refuse_unknown(suite)
    progress.say("looking at models, weights and images")
    from cloakbench.doctor import examine

    checks = examine(store or default_store(), suite, images)
    print_rows(checks, json)
    return FAULTS if any(check.state in {"missing", "wrong"} for check in checks) else 0


def board(
    suite: WhichSuite = None,
    *,
    store: StoreFolder = None,
    out: Path = Path("site"),
    unofficial: Flag = False,
    survey: Flag = False,
    open_: Annotated[bool, Parameter(name="--open", negative="")] = False,
    json: Flag = False,
) -> int:
    """Builds the leaderboard of a suite from records, and prints its main numbers.

    `--store` may also be an archive that `cloakbench submit` made.

    Args:
        out: Folder of the site.
        unofficial: Build the board even if checks with known answers fail; the page names them.
        survey: Add survey/index.html, which asks viewers about pairs of imitations.
        open_: Open the page in a browser.
        json: Print an object with the path of the page.
    """
    source = store or default_store()
    _refuse_unknown_suite(source, suite)
    progress.say(f"reading the records in {source}")
    from cloakbench_leaderboards.board.summary import summary
    from cloakbench_leaderboards.site import site

    with open_source(source) as folder:
        material = site.material(folder, suite, unofficial)
        progress.say(f"writing the pages to {out}")
        page = site.put(material, out, site.kinds(survey))
    address = page.resolve().as_uri()
    if open_:
        webbrowser.open(address)
    if json:
        return print_values({"leaderboard": str(page)}, True)
    print_evidence(summary(material.evidence))
    print(f"leaderboard: {address}")
    return 0


def boards(folder: Path, /, *, out: Path = Path("site"), unofficial: Flag = False, json: Flag = False) -> int:
    """Builds one site with the board of every reference folder in a folder, such as all versions of a suite.

    Args:
        folder: Folder of reference folders, such as leaderboards/reference.
        out: Folder of the site.
        unofficial: Build boards even if checks with known answers fail; each page names them.
        json: Print an object with the path of the page that lists the boards.
    """
    progress.say(f"reading the records in {folder}")
    from cloakbench_leaderboards.site.boards import build

    page = build(folder, out, unofficial)
    if json:
        return print_values({"boards": str(page)}, True)
    print(f"boards: {page.resolve().as_uri()}")
    return 0


def _refuse_unknown_suite(source: Path, suite: str | None) -> None:
    """Raises UserError for an unknown suite, where the source has no records that could be of it."""
    from cloakbench.store.paths import FACTS_FILE, StorePaths

    has_records = source.is_file() or (source / FACTS_FILE).is_file() or bool(StorePaths(source).facts())
    if suite is not None and not has_records:
        _refuse_unknown(suite)


def _refuse_unknown(suite: str) -> None:
    from cloakbench.suites.load import load

    load(suite)


def export(suite: str, *, out: Path, store: StoreFolder = None, json: Flag = False) -> int:
    """Writes a suite's records in compact form, with a few small pictures, as a reference folder to be committed.

    Args:
        suite: Name of the suite.
        out: Folder for `facts.json`, `records.jsonl` and `pictures`, and for `history.jsonl`, which is appended to.
        json: Print an object with the number of records.
    """
    progress.say(f"reading the records in {store or default_store()}")
    from cloakbench.store.reading import export_reference
    from cloakbench_leaderboards.history.history import remember
    from cloakbench_leaderboards.site.shipping import ship

    done = export_reference(store or default_store(), suite, out)
    remember(store or default_store(), suite, out)
    pictures = ship(store or default_store(), suite, out)
    counts = {"records": len(done.records), "pictures": pictures, "damaged": len(done.damaged)}
    return print_values({**counts, "folder": str(out)}, json)


def survey(files: list[Path], /, *, key: Path, json: Flag = False) -> int:
    """Prints how often viewers of a survey preferred the imitation of clean images to that of protected ones.

    Args:
        files: The CSV files that the page of the survey saved, one per viewer.
        key: The file survey/key.json of the site.
        json: Print an object with the rates and the viewers who were left out.
    """
    from dataclasses import asdict

    from cloakbench_leaderboards.survey.answers import evaluate

    result = evaluate(files, key)
    if json:
        return print_values(asdict(result), True)
    print_rows(result.rates, False)
    if result.inattentive:
        print(f"left out, for they did not tell the base model from an imitation: {', '.join(result.inattentive)}")
    return 0
