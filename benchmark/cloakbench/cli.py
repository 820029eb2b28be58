"""The command line: which verbs there are, and how a command ends."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import NoReturn

from cyclopts import App, CycloptsError, Group

from cloakbench import progress
from cloakbench.commands import board, compare, dataset, images, metrics, plan, refresh, run, store, submit
from cloakbench.commands.terminal import cleaned_output, print_error
from cloakbench.errors import BenchmarkError
from cloakbench.system import imports

EXIT_CODES = "Exit codes: 0 done; 1 `regress` found a regression; 2 any error or fault; 130 interrupted."
GROUPS: Mapping[str, Mapping[str, Callable[..., int]]] = {
    "Run": {
        "list": board.list_kind,
        "plan": plan.plan,
        "run": run.run,
        "status": run.status,
        "rescore": metrics.rescore,
        "refresh": refresh.refresh,
        "canaries": compare.canaries,
        "doctor": board.doctor,
    },
    "Submit": {"new": submit.new, "check": submit.check, "submit": submit.submit},
    "Board": {
        "board": board.board,
        "boards": board.boards,
        "compare": compare.compare,
        "regress": compare.regress,
        "export": board.export,
        "survey": board.survey,
    },
    "Stores": {
        "adopt": run.adopt,
        "merge": store.merge,
        "verify": store.verify,
        "sign": store.sign,
        "gc": store.gc,
    },
    "Your own images": {
        "protect": images.protect,
        "clean": images.clean,
        "mimic": images.mimic,
        "measure": metrics.measure,
    },
}
"""Every verb by its group, in the order of the help."""
RENAMED_OPTIONS = {"board": "--source", "export": "--source", "regress": "--source"}
"""Former names of `--store`, which work for one version."""


def _version() -> str:
    return version("cloakbench")


app = App(
    name="cloakbench",
    help=f"Runs image protections against a fixed suite of mimicry attacks and builds the leaderboard.\n\n{EXIT_CODES}",
    version=_version,
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
for order, (title, verbs) in enumerate(GROUPS.items()):
    group = Group(title, sort_key=order)
    for name, verb in verbs.items():
        app.command(verb, name=name, group=group)
datasets = App(name="dataset", help="Makes the image folders of suites that ship none.", group=group)
datasets.command(dataset.freeze)
app.command(datasets)
app.register_install_completion_command(
    add_to_startup=False, help="Writes the completion of verbs and options for bash, zsh, fish or PowerShell."
)


def _renamed(arguments: Sequence[str]) -> list[str]:
    """Returns the arguments with present names for `attack` and `--source`; a word on standard error names them."""
    words = list(arguments)
    if words[:1] == ["attack"]:
        print_error("cloakbench: `attack` is now `clean`; the old name will go with the next version")
        words[0] = "clean"
    former = RENAMED_OPTIONS.get(words[0] if words else "")
    for index, word in enumerate(words):
        option, equals, value = word.partition("=")
        if former is not None and option == former:
            print_error(f"cloakbench: `{former}` is now `--store`; the old name will go with the next version")
            words[index] = f"--store{equals}{value}"
    return words


UNEXPECTED_HINT = "This is a fault of cloakbench, not of your input. CLOAKBENCH_DEBUG=1 shows where it happened."


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line and exits.

    The exit code is 0 where all is well, 1 where `regress` found a regression, 2 for every error, for
    failed cells and for records that do not verify, and 130 where a person interrupted it.
    `CLOAKBENCH_DEBUG=1` prints tracebacks.
    """
    _open_closed_streams()
    if arguments is None:  # the process is the command's own
        imports.skip_unused()
    code: object = 2
    words: Sequence[str] = ()
    try:
        words = _renamed(sys.argv[1:] if arguments is None else arguments)
        with cleaned_output(), progress.shown():
            code = app(words, exit_on_error=False, print_error=True)
    except CycloptsError:
        code = 2
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second one ends what is still waited for
        is_own = bool(words) and words[0] in GROUPS["Your own images"]
        consequence = "finished files are kept" if is_own else "finished cells are kept, run again to go on"
        print(f"cloakbench: interrupted; {consequence}", file=sys.stderr)
        code = 130
    except BrokenPipeError:  # the reader of the output has closed it
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
    print_error(f"cloakbench: {message}")
    if isinstance(error, OSError):
        _discard_output()
    return 2


def _discard_output() -> None:
    """Drops what is still to be printed, which Python would try to print at the end."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
