"""`cloakbench plan`: hours, memory and disk of a run, from what stages cost before on the same kind of device."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from cloakbench.cells.costing import Costs, MedianCost, StageStep, Weigh
from cloakbench.errors import UserError
from cloakbench.execute.time_limit import CostEstimator, Deadline
from cloakbench.runs.session import Session
from cloakbench.schemas.record import Record
from cloakbench.store import reading
from cloakbench.store.key import CLEAN_EDIT
from cloakbench.store.paths import StorePaths
from cloakbench.store.store import Store

GIB, MIB = 2**30, 2**20
REFERENCES = Path(__file__).parents[3] / "leaderboards" / "reference"
"""Committed records: there in a checkout, not in an installed package."""
_ORDER = ("calibrate", "protect", "countermeasure", "personalise", "generate", CLEAN_EDIT, "measure")


@dataclass(frozen=True, slots=True)
class CostSource:
    """Where costs were recorded, and how many records there are of this kind of device."""

    name: str
    records: int
    used: int


@dataclass(frozen=True, slots=True)
class ForecastLine:
    """All stages of one name that are still to run; a figure is None where nothing was recorded."""

    stage: str
    what: str
    runs: int
    unknown: int
    """Stages of whose kind nothing was recorded; no sum counts them."""
    each_s: float | None
    hours: float | None
    peak_gib: float | None
    disk_mib: float | None
    energy_wh: float | None
    rough: int = 0
    """Stages that are estimated from other settings or other devices, because none of their kind is recorded."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """Estimated cost of a run. Sums hold what is recorded; `unknown` names what they lack."""

    suite: str
    version: int
    device: str
    threads: int
    cells: int
    missing: int
    lines: list[ForecastLine]
    hours: dict[int, float]
    """By number of workers. Several workers do not share one search for a strength."""
    peak_gib: float | None
    """Of one worker: the largest of the stages' medians."""
    disk_gib: float | None
    energy_kwh: float | None
    unknown: list[str]
    sources: list[CostSource]
    others: dict[str, int]
    """Records of other devices, which rough estimates alone use."""
    rough: list[str] = field(default_factory=list)
    """What is estimated from other settings or other devices."""
    lacks: list[str] = field(default_factory=list)
    """What keeps the suite or an entry from running here, or makes it slow: one sentence each."""


def forecast(session: Session, workers: int = 1, device: str | None = None, is_whole: bool = False) -> Forecast:
    """Returns what the missing cells of a session will take (all of them where `is_whole`, as in an empty store).

    `device` names another kind of device, as records do, than the one here. Raises UserError for fewer than one worker.
    """
    if workers < 1:
        raise UserError(f"expected --workers of 1 or more, got {workers}", "Give the largest number to plan for.")
    costs, sources = recorded_costs(session, device)
    planned = session.cells if is_whole else session.todo()
    cells = [cell for cell in planned if cell.entry.facts.name not in session.unready]
    estimator = CostEstimator(costs) if is_whole else CostEstimator(costs, session.is_made)
    due: list[StageStep] = []
    for cell in cells:
        due += estimator.due(cell)
    lines = _lines(due, costs)
    peak = disk = energy = None
    for line in lines:
        peak = _larger(peak, line.peak_gib)
        disk = _add(disk, line.disk_mib)
        energy = _add(energy, line.energy_wh)
    hours = {}
    for count in range(1, workers + 1):
        hours[count] = _hours(lines, min(count, max(1, len(cells))))
    return Forecast(
        suite=session.suite.name,
        version=session.suite.version,
        device=costs.device,
        threads=costs.threads,
        cells=len(session.cells),
        missing=len(cells),
        lines=lines,
        hours=hours,
        peak_gib=peak,
        disk_gib=_scale(disk, 1 / 1024),
        energy_kwh=_scale(energy, 1 / 1000),
        unknown=_unknown(lines),
        rough=_rough(lines),
        sources=sources,
        others=dict(sorted(costs.others.items())),
        lacks=session.lacks,
    )


def recorded_costs(session: Session, device: str | None = None) -> tuple[Costs, list[CostSource]]:
    """Returns what stages cost on a kind of device, and which records say so: the store's and the committed ones."""
    costs = Costs(device or session.environment.device, session.environment.threads)
    sources = []
    store = session.store
    for name, path in [(str(store.root), store.root), *_references()]:
        records = [record for record in reading.records(path) if isinstance(record, Record)]
        weigh = store_bytes(store) if path == store.root else record_bytes
        used = costs.take(records, weigh)
        if records:
            sources.append(CostSource(name, len(records), used))
    return costs, sources


def within(session: Session, limit_s: float) -> Deadline:
    """Returns the limit that some seconds set to a session's run, from now on; costs are those of `forecast`."""
    costs, _ = recorded_costs(session)
    return Deadline(limit_s, costs, session.is_made)


def _references() -> Iterable[tuple[str, Path]]:
    """Yields the reference folders of the repository, by their paths in it."""
    for path in sorted(REFERENCES.glob("*")):
        if StorePaths(path).is_reference:
            yield f"leaderboards/reference/{path.name}", path


def record_bytes(step: StageStep, record: Record) -> int | None:
    """Returns the size of a record, which is what the stage `measure` writes; None for other stages."""
    return len(record.model_dump_json()) if step.stage == "measure" else None


def store_bytes(store: Store) -> Weigh:
    """Returns a function that gives the bytes of a record's stage in a store, None where its files are gone."""

    def weigh(step: StageStep, record: Record) -> int | None:
        where = record.environment.env_class
        if step.stage == "measure":
            return _size([store.record_path(record.key, where)])
        if step.stage == "personalise":
            return _size([store.adapter_path(step.key, where)]) or 0  # fine-tuned weights are not stored
        if step.stage == "generate":
            return _size([store.features_path(step.key, where), store.gallery_path(step.key, where)])
        return _size(store.stage_paths(step.key, where))

    return weigh


def _size(paths: Iterable[Path]) -> int | None:
    sizes = [path.stat().st_size for path in paths if path.is_file()]
    return sum(sizes) if sizes else None


def _lines(due: Sequence[StageStep], costs: Costs) -> list[ForecastLine]:
    named: dict[tuple[str, str], list[StageStep]] = {}
    for step in due:
        named.setdefault((step.stage, step.label), []).append(step)
    lines = []
    for name in sorted(named, key=lambda name: (_ORDER.index(name[0]), name[1])):
        usual = list(map(costs.usual, named[name]))
        rough = 0
        for position, step in enumerate(named[name]):
            if usual[position] is None:
                usual[position] = costs.rough(step)
                rough += usual[position] is not None
        lines.append(replace(_line(name, usual), rough=rough))
    return lines


def _line(name: tuple[str, str], usual: Sequence[MedianCost | None]) -> ForecastLine:
    seconds = peak = disk = energy = None
    unknown = 0
    for cost in usual:
        if cost is None:
            unknown += 1
            continue
        seconds = _add(seconds, cost.wall_s)
        peak = _larger(peak, cost.peak_bytes)
        disk = _add(disk, cost.disk_bytes)
        energy = _add(energy, cost.energy_j)
    return ForecastLine(
        stage=name[0],
        what=name[1],
        runs=len(usual),
        unknown=unknown,
        each_s=None if seconds is None else seconds / (len(usual) - unknown),
        hours=_scale(seconds, 1 / 3600),
        peak_gib=_scale(peak, 1 / GIB),
        disk_mib=_scale(disk, 1 / MIB),
        energy_wh=_scale(energy, 1 / 3600),
    )


def _add(total: float | None, value: float | None) -> float | None:
    """Returns the sum of two numbers; one that is not known counts as none."""
    if total is None or value is None:
        return total if value is None else value
    return total + value


def _larger(first: float | None, second: float | None) -> float | None:
    """Returns the larger of two numbers; one that is not known is ignored."""
    if first is None or second is None:
        return first if second is None else second
    return max(first, second)


def _scale(value: float | None, factor: float) -> float | None:
    """Returns a number in another unit, None for one that is not known."""
    return None if value is None else value * factor


def _hours(lines: Sequence[ForecastLine], workers: int) -> float:
    longest = total = 0.0
    for line in lines:
        total += line.hours or 0.0
        if line.stage == "calibrate" and line.each_s is not None:
            longest = max(longest, line.each_s / 3600)
    return max(longest, total / workers)


def _unknown(lines: Sequence[ForecastLine]) -> list[str]:
    """Returns one text per stage: what of it is not known, and of how many runs where it is so of some only."""
    labels: dict[str, list[str]] = {}
    for line in lines:
        if not line.unknown:
            continue
        some = f"{line.unknown} of {line.runs}" if line.unknown < line.runs else ""
        label = f"{line.what} ({some})" if line.what and some else line.what or some
        labels.setdefault(line.stage, []).append(label)
    return _texts(labels)


def _rough(lines: Sequence[ForecastLine]) -> list[str]:
    """Returns one text per stage: what of it is estimated roughly."""
    labels: dict[str, list[str]] = {}
    for line in lines:
        if line.rough:
            labels.setdefault(line.stage, []).append(line.what)
    return _texts(labels)


def _texts(labels: Mapping[str, Sequence[str]]) -> list[str]:
    """Returns one text per stage with its labels."""
    return [f"{stage} {', '.join(of_stage)}".strip() for stage, of_stage in labels.items()]
