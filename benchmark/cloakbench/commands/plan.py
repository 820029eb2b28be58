"""The verb that says what a run will take: plan."""

from __future__ import annotations

import dataclasses
import json as jsons
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from cloakbench.commands.options import ALL, Flag, Limit, Only, RunSelection, SuiteName
from cloakbench.commands.run import planned

if TYPE_CHECKING:
    from cloakbench.runs.forecast import Forecast, ForecastLine

HEADER = ("stage", "what", "runs", "s each", "hours", "peak GiB", "disk MiB")


def plan(
    suite: SuiteName = "mini",
    *,
    selection: RunSelection = ALL,
    only: Only = None,
    limit: Limit = None,
    workers: int = 4,
    device: str | None = None,
    whole: Flag = False,
    json: Flag = False,
) -> int:
    """Estimates hours, memory and disk of a suite's missing cells from recorded medians; runs nothing.

    Args:
        workers: Largest number of workers to print hours for.
        device: Kind of device whose recorded costs are used, as records name it; by default this machine's.
        whole: Plan for all cells, as if the store were empty.
        json: Print one object.
    """
    session = planned(selection.choice(suite, only, limit), selection.root)
    from cloakbench.runs.forecast import forecast

    estimate = forecast(session, workers, device, whole)
    print(jsons.dumps(dataclasses.asdict(estimate), sort_keys=True) if json else "\n".join(to_lines(estimate)))
    return 0


def to_lines(estimate: Forecast) -> Iterator[str]:
    """Yields the lines of a plan: a table by stage, sums, what is unknown, where the figures are from."""
    where = f"{estimate.device} with {estimate.threads} thread{'s' * (estimate.threads > 1)}"
    yield f"{estimate.suite} {estimate.version} on {where}: {estimate.missing} of {estimate.cells} cells to run"
    yield from estimate.lacks
    if estimate.missing:
        yield from _columns([HEADER, *(_row(line) for line in estimate.lines)])
        yield from _sums(estimate)
    if estimate.rough:
        yield f"rough, from records of other settings or other devices: {'; '.join(estimate.rough)}"
    if estimate.unknown:
        yield f"not recorded anywhere, in no sum: {'; '.join(estimate.unknown)}"
        yield f"for an estimate, run a few cells first: cloakbench run {estimate.suite} --limit 3"
    for source in estimate.sources:
        yield f"from {source.name}: {source.used} of {source.records} records"
    for device, count in estimate.others.items():
        yield f"not used: {count} records on {device}"


def _sums(estimate: Forecast) -> Iterator[str]:
    if estimate.unknown and not any(estimate.hours.values()):
        yield "no sum of hours: none of these stages has a recorded time"
        return
    least = "at least " if estimate.unknown else ""
    hours = ", ".join(f"{n} worker{'s' * (n > 1)} {least}{h:.2g}" for n, h in estimate.hours.items())
    yield f"hours: {hours}"
    yield f"memory of a worker: {least}{_number(estimate.peak_gib, '.2f')} GiB"
    yield f"disk: {least}{_number(estimate.disk_gib, '.3f')} GiB"
    if estimate.energy_kwh is not None:
        yield f"energy of the GPU: {least}{estimate.energy_kwh:.2f} kWh"


def _row(line: ForecastLine) -> tuple[str, ...]:
    figures = (line.each_s, ".2f"), (line.hours, ".3f"), (line.peak_gib, ".2f"), (line.disk_mib, ".1f")
    return (line.stage, line.what, str(line.runs), *(_number(*figure) for figure in figures))


def _number(value: float | None, how: str) -> str:
    return "-" if value is None else format(value, how)


def _columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yields rows as aligned columns: names to the left, figures to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        names = map(str.ljust, row[:2], widths[:2])
        figures = map(str.rjust, row[2:], widths[2:])
        yield "  ".join([*names, *figures])
