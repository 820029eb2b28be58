"""Verbs for submitters: new, check, submit."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from importlib.metadata import metadata
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cloakbench import progress
from cloakbench.commands.options import Flag, StoreFolder, WhichSuite
from cloakbench.commands.terminal import FAULTS, print_values, refuse_unknown
from cloakbench.system.locations import default_store

if TYPE_CHECKING:
    from cloakbench.submissions.checking import Card, ScoreCardLine

Kind = Literal["protection", "countermeasure", "mimicry"]


def new(name: str, *, out: Path = Path(), kind: Kind = "protection") -> int:
    """Writes a working package with a simple protection or attack, which you replace by your own.

    Args:
        name: Name of the package and of the protection or attack, such as `my-cloak`.
        out: Folder in which the package's folder is created.
        kind: What the package offers.
    """
    from cloakbench.submissions import EntryKind
    from cloakbench.submissions.new_package import start

    for path in start(name, out, EntryKind(kind)):
        print(path)
    option = "" if kind == "protection" else f" --kind {kind}"
    print(f"next: pip install -e {out / name} && cloakbench check {name}{option}")
    return 0


def check(name: str, *, kind: Kind = "protection", json: Flag = False) -> int:
    """Checks a protection or attack on the embedded model. Exit code 2: an official run would refuse it.

    Args:
        name: The protection or attack, such as `photoguard` or `photoguard[steps=200]`.
        kind: What it is.
        json: Print the score card as JSON.
    """
    card = _checked(name, kind, json)
    if json:
        checks = [asdict(line) for line in card.checks]
        values = {"protection": card.protection, "isolation": card.isolation, "checks": checks}
        print(dumps({**values, "accepted": card.accepted}, sort_keys=True))
    else:
        verdict = "an official run would accept it" if card.accepted else "an official run would refuse it"
        print(f"{card.protection}: {verdict} (isolated by {card.isolation})")
        if card.accepted:
            option = "--protection" if kind == "protection" else "--attack"
            print(f"next: cloakbench run mini-quick {option} {shlex.quote(name)}")
    return 0 if card.accepted else FAULTS


def _checked(name: str, kind: Kind, json: bool) -> Card:
    """Returns the score card; prints its lines as they are measured, but for JSON."""
    if kind == "protection":
        refuse_unknown([name])
    progress.say(f"checking {name} on the embedded model; loading the libraries takes some seconds")
    from cloakbench import visibility
    from cloakbench.submissions import EntryKind, checking, checking_attacks

    show = None if json else _print_line
    if kind == "protection":
        return checking.check(name, visibility.describe, show)
    return checking_attacks.check(name, EntryKind(kind), show)


def _print_line(line: ScoreCardLine) -> None:
    mark = "ok  " if line.passed else ("FAIL" if line.required else "look")
    print(f"{mark}  {line.name}: {line.detail}", flush=True)


def submit(
    name: str,
    *,
    out: Path,
    kind: Kind = "protection",
    suite: WhichSuite = None,
    store: StoreFolder = None,
    json: Flag = False,
) -> int:
    """Packs the records, digests and images of a protection or attack into one archive for `cloakbench merge`.

    Args:
        name: The protection or attack, such as `my-cloak` or `photoguard[steps=200]`.
        out: The archive, a zip file.
        kind: What it is; an attack has to be run with `--keep images`.
        json: Print an object with the archive and its numbers of records, images and bytes.
    """
    source = store or default_store()
    progress.say(f"packing the records of {name} in {source}")
    from cloakbench.submissions import EntryKind
    from cloakbench.upkeep.archive import pack

    packed = pack(name, suite, source, out, EntryKind(kind))
    if json:
        return print_values(asdict(packed), True)
    from cloakbench_leaderboards.board.summary import lacks  # loads libraries, which takes seconds

    for line in lacks(source, suite, name) if kind == "protection" else ():
        print(line)
    print_values(asdict(packed), False)
    address = submission_address()
    where = f" at {address}" if address else ""
    print(f"next: send {out} to the keeper of the leaderboard{where}; see CONTRIBUTING.md")
    return 0


def submission_address() -> str:
    """Returns where the project takes submissions, by `[project.urls]` of its metadata; empty where none is named."""
    for entry in metadata("cloakbench").get_all("Project-URL") or []:
        label, _, address = entry.partition(", ")
        if label == "Submissions":
            return str(address)
    return ""
