"""`cloakbench plan`: hours, memory and disk of a run, from what stages cost before on the same kind of device."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cloakbench.cells.costing import Costs, MedianCost, StageStep, Weigh
from cloakbench.errors import UserError
from cloakbench.execute.time_limit import CostEstimator, Deadline, seconds
from cloakbench.runs.session import Session
from cloakbench.schemas.record import Record
from cloakbench.store import reading
from cloakbench.store.key import CLEAN_EDIT
from cloakbench.store.paths import RECORDS_FILE
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
    """All stages of one name that are still to run; None where nothing is recorded of any of them."""

    stage: str
    what: str
    runs: int
    unknown: int
    """Stages of whose kind nothing is recorded: they are in no sum."""
    each_s: float | None
    hours: float | None
    peak_gib: float | None
    disk_mib: float | None
    energy_wh: float | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a run will take. Sums hold what is known; `unknown` names what is in none of them."""

    suite: str
    version: int
    device: str
    threads: int
    cells: int
    missing: int
    lines: list[ForecastLine]
    hours: dict[int, float]
    """By number of workers. One worker seeks one strength from beginning to end."""
    peak_gib: float | None
    """Of one worker: the largest of the stages' medians."""
    disk_gib: float | None
    energy_kwh: float | None
    unknown: list[str]
    sources: list[CostSource]
    others: dict[str, int]
    """Records of other devices, which were not used."""


def forecast(session: Session, workers: int = 1, device: str | None = None, is_whole: bool = False) -> Forecast:
    """Returns what the missing cells of a session will take (all of them where `is_whole`, as in an empty store).

    `device` names another kind of device, as records do, than the one here. Raises UserError for fewer than one worker.
    """
    if workers < 1:
        raise UserError(f"expected --workers of 1 or more, got {workers}", "Give the largest number to plan for.")
    costs, sources = known(session, device)
    cells = session.cells if is_whole else session.todo()
    reckoning = CostEstimator(costs) if is_whole else CostEstimator(costs, session.is_made)
    due = [step for cell in cells for step in reckoning.due(cell)]
    lines = _lines(due, costs)
    return Forecast(
        suite=session.suite.name,
        version=session.suite.version,
        device=costs.device,
        threads=costs.threads,
        cells=len(session.cells),
        missing=len(cells),
        lines=lines,
        hours={n: _hours(lines, min(n, max(1, len(cells)))) for n in range(1, workers + 1)},
        peak_gib=max((line.peak_gib for line in lines if line.peak_gib is not None), default=None),
        disk_gib=_sum((line.disk_mib for line in lines if line.disk_mib is not None), 1 / 1024),
        energy_kwh=_sum((line.energy_wh for line in lines if line.energy_wh is not None), 1 / 1000),
        unknown=_unknown([line for line in lines if line.unknown]),
        sources=sources,
        others=dict(sorted(costs.others.items())),
    )


def known(session: Session, device: str | None = None) -> tuple[Costs, list[CostSource]]:
    """Returns what stages cost on a kind of device, and of which records: the store's and the committed ones."""
    costs = Costs(device or session.environment.device, session.environment.threads)
    found = []
    store = session.store
    for name, path in [(str(store.root), store.root), *_references()]:
        records = [record for record in reading.records(path) if isinstance(record, Record)]
        weigh = store_bytes(store) if path == store.root else record_bytes
        used = costs.take(records, weigh)
        if records:
            found.append(CostSource(name, len(records), used))
    return costs, found


def within(session: Session, time: str | None) -> Deadline | None:
    """Returns the limit that a text such as `2h` sets to a session's run, from now on; None for none.

    What cells take is told by the same records as in a plan. Raises UserError for a text that is no time.
    """
    return Deadline(seconds(time), known(session)[0], session.is_made) if time is not None else None


def _references() -> Iterable[tuple[str, Path]]:
    folders = sorted(path for path in REFERENCES.glob("*") if (path / RECORDS_FILE).is_file())
    return [(f"leaderboards/reference/{path.name}", path) for path in folders]


def record_bytes(step: StageStep, record: Record) -> int | None:
    """Returns the size of a record, which the stage `measure` leaves behind; None for other stages."""
    return len(record.model_dump_json()) if step.stage == "measure" else None


def store_bytes(store: Store) -> Weigh:
    """Returns what says how many bytes a stage of a record has left in a store; None where its files are gone."""

    def weigh(step: StageStep, record: Record) -> int | None:
        where = record.environment.env_class
        if step.stage == "measure":
            return _size([store.record_path(record.key, where)])
        if step.stage == "calibrate":
            return _size([store.calibration_path(step.key, where)])
        if step.stage == "personalise":
            return _size([store.adapter_path(step.key, where)]) or 0  # fine-tuned weights are not kept
        if step.stage == "generate":
            return _size([store.features_path(step.key, where), store.gallery_path(step.key, where)])
        return _size(store.images_path(step.key, where).glob("*"))

    return weigh


def _size(paths: Iterable[Path]) -> int | None:
    found = [path.stat().st_size for path in paths if path.is_file()]
    return sum(found) if found else None


def _lines(due: Sequence[StageStep], costs: Costs) -> list[ForecastLine]:
    named: dict[tuple[str, str], list[StageStep]] = {}
    for step in due:
        named.setdefault((step.stage, step.label), []).append(step)
    ordered = sorted(named, key=lambda name: (_ORDER.index(name[0]), name[1]))
    return [_line(name, [costs.usual(step) for step in named[name]]) for name in ordered]


def _line(name: tuple[str, str], usual: Sequence[MedianCost | None]) -> ForecastLine:
    found = [one for one in usual if one is not None]
    seconds = _sum(one.wall_s for one in found)
    return ForecastLine(
        stage=name[0],
        what=name[1],
        runs=len(usual),
        unknown=len(usual) - len(found),
        each_s=None if seconds is None else seconds / len(found),
        hours=None if seconds is None else seconds / 3600,
        peak_gib=max((one.peak_bytes / GIB for one in found), default=None),
        disk_mib=_sum((one.disk_bytes for one in found if one.disk_bytes is not None), 1 / MIB),
        energy_wh=_sum((one.energy_j for one in found if one.energy_j is not None), 1 / 3600),
    )


def _sum(values: Iterable[float], scale: float = 1.0) -> float | None:
    """Returns the sum in another unit, None where there is nothing to sum."""
    found = list(values)
    return sum(found) * scale if found else None


def _hours(lines: Sequence[ForecastLine], workers: int) -> float:
    longest = max((line.each_s or 0.0 for line in lines if line.stage == "calibrate"), default=0.0) / 3600
    return max(longest, sum(line.hours or 0.0 for line in lines) / workers)


def _unknown(lines: Sequence[ForecastLine]) -> list[str]:
    """Returns one text a stage: what of it is not known, and of how many runs where it is so of some only."""
    found: dict[str, list[str]] = {}
    for line in lines:
        some = f"{line.unknown} of {line.runs}" if line.unknown < line.runs else ""
        named = f"{line.what} ({some})" if line.what and some else line.what or some
        found.setdefault(line.stage, []).append(named)
    return [f"{stage} {', '.join(what)}".strip() for stage, what in found.items()]
