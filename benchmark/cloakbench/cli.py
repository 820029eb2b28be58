"""The command line: which verbs there are, and how a command ends."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

from cyclopts import App, CycloptsError

from cloakbench.commands import board, compare, dataset, images, metrics, plan, refresh, run, store, submit
from cloakbench.errors import BenchmarkError, UserError
from cloakbench.system import cpu

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


def _fail(error: BenchmarkError) -> int:
    print(f"cloakbench: {error}", file=sys.stderr)
    return 2 if isinstance(error, UserError) else 1


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line and exits: 0 done, 1 failed cells or faults, 2 usage, 130 interrupted.

    `CLOAKBENCH_DEBUG=1` prints tracebacks.
    """
    cpu.settle()
    debug = os.environ.get("CLOAKBENCH_DEBUG", "") not in {"", "0"}
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
