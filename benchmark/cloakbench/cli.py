"""The command line: which verbs there are, and how a command ends."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

from cyclopts import App, CycloptsError

from cloakbench.commands import board, compare, dataset, images, metrics, plan, refresh, run, store, submit
from cloakbench.errors import BenchmarkError

app = App(
    name="cloakbench",
    help="Runs image protections against a fixed suite of mimicry attacks and builds the leaderboard.",
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
app.command(board.list_kind, name="list")
for verb in (
    submit.new,
    submit.check,
    submit.submit,
    store.verify,
    store.sign,
    store.merge,
    store.gc,
    run.run,
    run.status,
    plan.plan,
    run.adopt,
    refresh.refresh,
    board.doctor,
    board.board,
    board.export,
    images.protect,
    images.attack,
    images.mimic,
    metrics.measure,
    metrics.rescore,
    compare.compare,
    compare.regress,
    compare.canaries,
):
    app.command(verb)
datasets = App(name="dataset", help="Makes the image folders of suites that ship none.")
datasets.command(dataset.freeze)
app.command(datasets)


UNEXPECTED_HINT = "This is a fault of cloakbench, not of your input. CLOAKBENCH_DEBUG=1 shows where it happened."


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line and exits.

    The exit code is 0 where all is well, 1 where the command did its work and found something (a regression, failed
    cells, records that do not verify), 2 for every error, and 130 where a person interrupted it.
    `CLOAKBENCH_DEBUG=1` prints tracebacks.
    """
    _open_closed_streams()
    code: object = 2
    try:
        code = app(sys.argv[1:] if arguments is None else list(arguments), exit_on_error=False, print_error=True)
        sys.stdout.flush()
    except CycloptsError:
        code = 2
    except KeyboardInterrupt:
        print("cloakbench: interrupted; finished cells are kept, run again to go on", file=sys.stderr)
        code = 130
    except BrokenPipeError:  # whoever read the output has seen enough
        _discard_output()
        code = 0
    except Exception as error:
        code = _report(error)
    sys.exit(code if isinstance(code, int) else 0)


def _open_closed_streams() -> None:
    """Gives a process that was started without output streams streams whose output is dropped."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - open until the process ends
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - open until the process ends


def _report(error: Exception) -> int:
    """Prints one message to the error stream and returns the exit code of every error."""
    if os.environ.get("CLOAKBENCH_DEBUG", "") not in {"", "0"}:
        traceback.print_exc()
    if isinstance(error, BenchmarkError):
        message = str(error)
    elif isinstance(error, OSError):
        message = f"{error}\n  Free space, or correct the path or its permissions."
    else:
        message = f"{type(error).__name__}: {error}\n  {UNEXPECTED_HINT}"
    print("cloakbench: " + message.encode("utf-8", "backslashreplace").decode(), file=sys.stderr)
    if isinstance(error, OSError):
        _discard_output()
    return 2


def _discard_output() -> None:
    """Drops what is still to be printed, which Python would try to print at the end."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
