"""The command line: parse, call a library function, render."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

from cyclopts import App, CycloptsError, Parameter

from benchmark.errors import BenchmarkError, UserError
from benchmark.execute.choice import Choice

if TYPE_CHECKING:
    from benchmark.execute.session import Session

app = App(
    name="cloakbench",
    help="Runs image protections against a fixed suite of mimicry attacks and builds the leaderboard.",
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
Many = Annotated[list[str], Parameter(consume_multiple=True, negative="")]
Flag = Annotated[bool, Parameter(negative="")]
Kind = Literal["protections", "attacks", "metrics", "suites", "models"]


def _store(store: Path | None) -> Path:
    return store or Path(os.environ.get("CLOAKBENCH_STORE", "results"))


def _plan(choice: Choice, store: Path | None) -> Session:
    """Returns the planned run; the suite is read first, because loading the models' libraries takes seconds."""
    from benchmark.suites.load import load

    load(choice.suite)
    from benchmark.execute import session as sessions

    return sessions.plan(choice, _store(store))


def _print(rows: Sequence[Any], as_json: bool) -> None:
    """Prints dataclasses as aligned columns, or as a JSON list of objects."""
    objects = [dataclasses.asdict(row) for row in rows]
    if as_json:
        print(json.dumps(objects, indent=1, sort_keys=True, ensure_ascii=False))
        return
    widths = [max(len(str(o[k])) for o in objects) for k in objects[0]] if objects else []
    for o in objects:
        print("  ".join(str(v).ljust(w) for v, w in zip(o.values(), widths, strict=True)).rstrip())


@app.command(name="list")
def list_kind(kind: Kind = "protections", *, json: Flag = False) -> int:
    """Lists protections, attacks, metrics, suites or models.

    Args:
        kind: What to list.
        json: Print a list of objects with name, version and summary.
    """
    from benchmark.listing import KINDS

    _print(KINDS[kind](), json)
    return 0


@app.command
def run(
    suite: str = "mini",
    *,
    protection: Many | None = None,
    images: Path | None = None,
    store: Path | None = None,
    only: Many | None = None,
    limit: int | None = None,
    keep: Literal["images"] | None = None,
    dry_run: Flag = False,
    json: Flag = False,
) -> int:
    """Runs what is missing of a suite; run it again to resume.

    Args:
        suite: Name of a suite, or path to its TOML file.
        protection: Protections to run, such as `photoguard[steps=50]`; all installed by default. Controls come along.
        images: Folder with one sub-folder of images per artist, for the suite `folder`.
        store: Where records go; ./results or $CLOAKBENCH_STORE by default.
        only: Restrict to FIELD=VALUE with a field of protection, artist, attack, seed, strength.
        limit: Run at most this many cells.
        keep: `images` keeps every generated image.
        dry_run: Say what would run, and run nothing.
        json: Print the result as JSON.
    """
    session = _plan(Choice(suite, protection or (), images, only or (), limit), store)
    from benchmark.execute import session as sessions

    plan: dict[str, object] = {"cells": len(session.cells), "store": str(session.store.root)}
    if dry_run:
        return _said({**plan, "missing": len(session.missing())}, json)
    records = sessions.run(session, keep_images=keep == "images")
    bad = sessions.failed(session)
    _said({**plan, "ran": len(records), "failed": bad}, json)
    return 1 if bad else 0


def _said(values: dict[str, object], as_json: bool) -> int:
    print(json.dumps(values, sort_keys=True) if as_json else ", ".join(f"{k}: {v}" for k, v in values.items()))
    return 0


@app.command
def status(
    suite: str = "mini",
    *,
    protection: Many | None = None,
    images: Path | None = None,
    store: Path | None = None,
    json: Flag = False,
) -> int:
    """Says for each protection how many cells of a suite are done, failed or missing.

    Args:
        suite: Name of a suite, or path to its TOML file.
        protection: Protections to count; all installed by default.
        images: Folder of images, for the suite `folder`.
        store: Where records lie.
        json: Print an object of counts by protection.
    """
    session = _plan(Choice(suite, protection or (), images), store)
    counts = {name: dict(sorted(tally.items())) for name, tally in session.counts().items()}
    if json:
        return _said(dict(counts), True)
    for name, tally in counts.items():
        print(f"{name}: " + ", ".join(f"{n} {state}" for state, n in tally.items()))
    return 0


@app.command
def board(suite: str | None = None, *, source: Path | None = None, out: Path = Path("site"), json: Flag = False) -> int:
    """Builds the leaderboard of a suite from records.

    Args:
        suite: Which suite, where the records hold several.
        source: A store, or a folder of reference records; the default store otherwise.
        out: Folder of the site.
        json: Print an object with the path of the page.
    """
    from leaderboards.site import build

    page = build(_store(source), out, suite)
    if json:
        return _said({"leaderboard": str(page)}, True)
    print(f"leaderboard: {page}")
    return 0


@app.command
def export(suite: str, *, out: Path, source: Path | None = None, json: Flag = False) -> int:
    """Writes a suite's records in compact form, without images: what is committed as a reference.

    Args:
        suite: Which suite.
        out: Folder for `facts.json` and `records.jsonl`.
        source: A store; the default one otherwise.
        json: Print an object with the number of records.
    """
    from leaderboards.source import export_reference

    done = export_reference(_store(source), suite, out)
    return _said({"records": len(done.records), "damaged": len(done.damaged), "folder": str(out)}, json)


@app.command
def adopt(source: Path, *, suite: str | None = None, store: Path | None = None, json: Flag = False) -> int:
    """Takes over the records of another store or a reference folder, so that a run goes on from them.

    Args:
        source: A store, or a folder of reference records.
        suite: Which suite, where the source holds several.
        store: Where the records go; ./results or $CLOAKBENCH_STORE by default.
        json: Print an object with how many records were added and known.
    """
    from benchmark.adopting import adopt as take
    from benchmark.cells.store import Store

    done = take(source, suite, Store(_store(store)))
    return _said({"added": done.added, "known": done.known}, json)


@app.command
def doctor(*, suite: str | None = None, store: Path | None = None, json: Flag = False) -> int:
    """Says what a run needs and what of it is here.

    Args:
        suite: Look only at this suite's models.
        store: Where records would go.
        json: Print a list of objects with name, state and detail.
    """
    from benchmark.doctor import examine

    checks = examine(_store(store), suite)
    _print(checks, json)
    return 1 if any(check.state == "missing" for check in checks) else 0


@app.command
def protect(
    name: str,
    *,
    in_: Annotated[Path, Parameter(name="--in")],
    out: Path,
    strength: float = 1.0,
    model: str = "mini-a",
    budget: int = 16,
    class_word: str = "painting",
    json: Flag = False,
) -> int:
    """Protects your own images, of any size, and saves them as PNG.

    Args:
        name: The protection, such as `photoguard` or `photoguard[steps=200]`.
        in_: Folder of images.
        out: Folder for the protected PNGs.
        strength: In (0, 1]; 1 uses the whole budget.
        model: Model alias (or folder in diffusers layout) that the protection looks into.
        budget: Largest change of a pixel, in levels of 255, at strength 1.
        class_word: What the images are.
        json: Print a list of objects with file and measured change.
    """
    from benchmark.protecting import protect_folder

    _print(protect_folder(name, in_, out, strength, model, budget, class_word), json)
    return 0


def _fail(error: BenchmarkError) -> int:
    print(f"cloakbench: {error}", file=sys.stderr)
    return 2 if isinstance(error, UserError) else 1


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line and exits: 0 done, 1 failed cells or faults, 2 usage, 130 interrupted.

    `CLOAKBENCH_DEBUG=1` prints tracebacks.
    """
    debug = os.environ.get("CLOAKBENCH_DEBUG", "") not in {"", "0"}
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it warns of a kernel that nothing here uses
    try:
        code = app(sys.argv[1:] if arguments is None else list(arguments), exit_on_error=False, print_error=True)
        sys.stdout.flush()
    except CycloptsError:
        code = 2
    except KeyboardInterrupt:
        print("cloakbench: interrupted; finished cells are kept, run again to go on", file=sys.stderr)
        code = 130
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except BenchmarkError as error:
        if debug:
            traceback.print_exc()
        code = _fail(error)
    sys.exit(code if isinstance(code, int) else 0)
