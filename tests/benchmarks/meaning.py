"""The meaning test: do mimicry and protection mean anything on mini's artists? Run on demand, resumes from the store.

    python tests/benchmarks/meaning.py [--artists oakshaw trigwell] [--store results]
    python tests/benchmarks/meaning.py --table

Suite `mini` with one attack (dreambooth), strengths 0.5 and 1.0, PhotoGuard and every control, five seeds per arm. Keys
are those of the suite itself: what a run of `mini` has left in the store is not run again. Several processes may share
a store, each with other `--artists`.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from cloakbench.cells import pipeline
from cloakbench.cells.plan import Cell
from cloakbench.execute.inline import InlineExecutor
from cloakbench.execute.progress import reporter
from cloakbench.metrics import weights
from cloakbench.runs import session as sessions
from cloakbench.runs.choice import Choice
from cloakbench.runs.session import Session
from cloakbench.schemas.kinds import Status
from cloakbench.schemas.suite import Seeds, Suite
from cloakbench.suites import load
from cloakbench.system.locations import default_store
from cloakbench_leaderboards.scores import statistics

ATTACK, PROTECTION = "dreambooth", "photoguard"
STRENGTHS = [0.5, 1.0]
SEEDS = 5
CLEAN = "clean"


@dataclass(frozen=True, slots=True)
class Measure:
    """One column of the tables."""

    metric: str
    title: str
    digits: int


MEASURES = (Measure("style-distance", "Style distance", 3),)


def restricted(suite: Suite, chosen: Sequence[str]) -> Suite:
    """Returns the suite with the meaning test's attack, strengths and seeds; its name, and so its keys, stay."""
    changes = {
        "artists": [artist for artist in suite.artists if not chosen or artist in chosen],
        "attacks": [suite.attack(ATTACK)],
        "strengths": STRENGTHS,
        "matching": None,
        "seeds": Seeds(protected=SEEDS, controls=SEEDS),
    }
    return suite.model_copy(update=changes)


def run(session: Session) -> None:
    """Runs what is missing. The suite's facts are left alone: those of the whole suite belong into the store."""
    session.store.prepare()
    torch.set_num_threads(session.environment.threads)
    metrics = weights.find_usable(session.suite.metrics.every)
    work = pipeline.Pipeline(session.planner, session.store, session.environment, metrics, session.device)
    InlineExecutor().run(session.missing(), work, reporter())


def arm(cell: Cell, budget_255: int) -> str:
    """Returns the column of a cell, such as `photoguard 16/255`."""
    name = {"identity": CLEAN}.get(cell.entry.facts.role, cell.entry.facts.name)
    strengthless = cell.entry.facts.role in ("identity", "placebo", "floor")
    return name if strengthless else f"{name} {round(budget_255 * cell.strength)}/255"


def arms(budget_255: int) -> list[str]:
    """Returns all columns in the order of the tables."""
    names = ["floor", CLEAN, "placebo"]
    for name, strength in itertools.product(("random-noise", PROTECTION), STRENGTHS):
        names.append(f"{name} {round(budget_255 * strength)}/255")
    return names


def rows(session: Session) -> Iterator[dict[str, object]]:
    """Yields one row per finished cell: artist, arm, seed, and the mean of each measure over its generations."""
    for cell in session.cells:
        record = session.store.read_record(cell.key, session.environment.env_class)
        if record is not None and record.status is Status.OK:
            means = {}
            for m in MEASURES:
                means[m.metric] = float(pd.Series(record.generations[m.metric]).mean())
            yield {"artist": cell.artist.name, "arm": arm(cell, session.suite.budget_255), "seed": cell.seed, **means}


def differences(values: pd.DataFrame, to: str) -> pd.DataFrame:
    """Returns artist x arm: the mean over shared seeds of each arm less `to`; `values` is (artist, seed) x arm."""
    return values.sub(values[to], axis=0).groupby("artist").mean()


def line(cells: Sequence[str]) -> str:
    """Returns one row of a markdown table."""
    return f"| {' | '.join(cells)} |"


def table(frame: pd.DataFrame, digits: int, sign: str = "") -> list[str]:
    """Returns a markdown table of artists and their mean with its interval (t, 95 %, over artists)."""
    columns = list(frame.columns)
    lines = [line(["artist", *columns]), line(["---", *["---:"] * len(columns)])]
    for artist, row in frame.iterrows():
        lines.append(line([str(artist), *(f"{row[c]:{sign}.{digits}f}" for c in columns)]))
    return [*lines, line(["**mean**", *(estimate(frame[c].dropna().tolist(), digits, sign) for c in columns)])]


def estimate(values: list[float], digits: int, sign: str) -> str:
    """Returns a mean with its interval, or without where there are too few artists."""
    if not values:
        return "-"
    mean = statistics.mean(values)
    interval = f" ({mean.low:{sign}.{digits}f} to {mean.high:{sign}.{digits}f})" if mean.has_interval else ""
    return f"{mean.value:{sign}.{digits}f}{interval}"


def report(session: Session) -> str:
    """Returns the markdown tables: every arm, and what it differs by from clean and from random noise, seeds paired."""
    frame = pd.DataFrame(list(rows(session)), columns=["artist", "arm", "seed", *(m.metric for m in MEASURES)])
    order = [artist for artist in session.suite.artists if artist in set(frame["artist"])]
    lines = [f"{len(frame)} of {len(session.cells)} cells, environment {session.environment.env_class}"]
    for measure in MEASURES:
        values = frame.pivot(index=["artist", "seed"], columns="arm", values=measure.metric)
        values = values.reindex(columns=arms(session.suite.budget_255))
        against = differences(values, CLEAN).drop(columns=CLEAN).reindex(order)
        lines += ["", f"{measure.title}, mean over seeds:", ""]
        lines += table(values.groupby("artist").mean().reindex(order), measure.digits)
        lines += ["", f"{measure.title}, paired difference to clean:", "", *table(against, measure.digits, "+")]
        lines += ["", f"{measure.title}, {PROTECTION} less random noise of the same budget, paired:", ""]
        lines += table(over_noise(values).reindex(order), measure.digits, "+")
    return "\n".join(lines)


def over_noise(values: pd.DataFrame) -> pd.DataFrame:
    """Returns artist x budget: the mean over shared seeds of the protection less random noise."""
    budgets = []
    for column in values.columns:
        if column.startswith(PROTECTION):
            budgets.append(column.split()[1])
    pairs = {}
    for budget in budgets:
        pairs[budget] = values[f"{PROTECTION} {budget}"] - values[f"random-noise {budget}"]
    return pd.DataFrame(pairs).groupby("artist").mean()


def main() -> None:
    """Runs what is missing and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--artists", nargs="+", default=[], help="only these, such as `oakshaw trigwell`")
    parser.add_argument("--store", type=Path, default=default_store())
    parser.add_argument("--table", action="store_true", help="run nothing, print what the store holds")
    arguments = parser.parse_args()
    suite = load.load("mini")
    unknown = set(arguments.artists) - set(suite.artists)
    if unknown:
        parser.error(f"expected artists of {', '.join(suite.artists)}, got {', '.join(sorted(unknown))}")
    choice = Choice(suite.name, [PROTECTION])
    session = sessions.plan_suite(restricted(suite, arguments.artists), choice, arguments.store)
    if not arguments.table:
        run(session)
    print(report(session))


if __name__ == "__main__":
    main()
