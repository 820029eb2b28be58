"""A run from names to records: what the CLI's `run` and `status` do, callable from Python."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import torch

from cloakbench import progress, readiness
from cloakbench.attacks import catalogue
from cloakbench.cells import environment, pipeline
from cloakbench.cells.costing import StageStep
from cloakbench.cells.ordering import arranged, select
from cloakbench.cells.plan import Cell, PlannedEntry, Planner
from cloakbench.cells.recipes import Digests
from cloakbench.datasets import artists
from cloakbench.errors import UserError
from cloakbench.execute.inline import Executor, InlineExecutor
from cloakbench.execute.progress import Outcome, Reporter, reporter
from cloakbench.execute.time_limit import Deadline, always
from cloakbench.metrics import clips, perceptual, weights
from cloakbench.models import registry
from cloakbench.readiness import Lack
from cloakbench.runs import official
from cloakbench.runs.attacks import external
from cloakbench.runs.choice import Choice
from cloakbench.runs.entries import call_limits, claims_of, close, entries, on_family
from cloakbench.schemas.kinds import Status
from cloakbench.schemas.record import Environment, Record
from cloakbench.schemas.suite import Suite
from cloakbench.store import staging
from cloakbench.store.running import running
from cloakbench.store.store import Store
from cloakbench.submissions.sandbox.client import SandboxedSubmission
from cloakbench.suites import load as suites
from cloakbench.suites.check import check
from cloakbench.suites.read import read
from cloakbench.system import cpu

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Session:
    """A planned run: its suite, its cells, and which of them the store already holds."""

    suite: Suite
    planner: Planner
    cells: list[Cell]
    store: Store
    environment: Environment
    device: str
    limit: int | None = None
    unready: Mapping[str, Lack] = field(default_factory=dict)
    """Why an entry cannot run here, by its name."""
    refusal: Lack | None = None
    """Why the suite does not start here, None where it does."""
    warnings: Sequence[str] = ()
    """What makes the suite slow, or short of memory, here."""

    @property
    def lacks(self) -> list[str]:
        """What keeps the suite or one of its entries from running here, or makes it slow: one sentence each."""
        refusal = [str(self.refusal)] if self.refusal else []
        return [*refusal, *self.warnings, *map(str, self.unready.values())]

    def finished(self, cell: Cell) -> Record | None:
        """Returns a cell's usable record here; None where it has to run, as after a skip whose reason is gone."""
        record = pipeline.finished(self.store, cell, self.environment.env_class)
        if record is None or record.status is not Status.SKIPPED or record.calibration:
            return record
        return record if cell.entry.facts.name in self.unready else None

    def missing(self) -> list[Cell]:
        """Returns the cells without a usable record in this environment class."""
        return [cell for cell in self.cells if self.finished(cell) is None]

    def todo(self) -> list[Cell]:
        """Returns the missing cells that this run takes on: all, or the first `limit`."""
        return self.missing()[: self.limit]

    def is_made(self, step: StageStep) -> bool:
        """Returns whether the store has the output of a stage that cells share."""
        where = self.environment.env_class
        if step.stage == "calibrate":
            return self.store.calibration_path(step.key, where).exists()
        return self.store.manifest_path(step.key, where).exists()

    def take_over(self) -> list[Cell]:
        """Adopts records of an older version of the suite and returns the cells without a usable record.

        The same key is the same recipe and the same number, so an adopted record gets the present version.
        """
        missing = []
        for cell in self.cells:
            record = self.finished(cell)
            if record is None:
                missing.append(cell)
            elif record.suite_version != self.suite.version:
                self.store.write_record(record.model_copy(update={"suite_version": self.suite.version}))
        return missing

    def counts(self) -> dict[str, Counter[str]]:
        """Returns for each protection how many cells have which status; `missing` where there is no record."""
        tallies: dict[str, Counter[str]] = {}
        for cell in self.cells:
            tally = tallies.setdefault(cell.entry.facts.name, Counter())
            record = self.finished(cell)
            tally[str(record.status) if record else "missing"] += 1
        return tallies


def plan(choice: Choice, root: Path) -> Session:
    """Returns the planned run; nothing is computed but digests.

    A merge into the store that was interrupted is completed first, so that its records are counted. Raises UserError
    for anything unknown, and for a folder of reference records in place of a store.
    """
    Store(root).require_store()
    staging.finish(root)
    return plan_suite(read(choice.suite), choice, root)


def plan_suite(suite: Suite, choice: Choice, root: Path) -> Session:
    """Returns the planned run of a suite that is already read; `choice.suite` is ignored."""
    if choice.model:
        suite = suites.on_model(suite, choice.model)
    check(suite)
    catalogue.check(suite)
    if choice.limit is not None and choice.limit < 0:
        raise UserError(f"expected --limit of 0 or more, got {choice.limit}", "Leave it out to run everything.")
    where = readiness.find_device(choice.device)
    device = where.kind
    threads = suite.threads if device == "cpu" and suite.threads is not None else torch.get_num_threads()
    if device == "cpu" and cpu.is_unlimited():
        _log.warning("computing with AVX512, other records have AVX2: import cloakbench before torch to pair with them")
    size = registry.find(suite.surrogate).image_size
    loaded = artists.load(suite, choice.images, size)
    calibrating = artists.for_calibration(suite, choice.images, size)
    outside = external([*suite.packages, *choice.attacks], suite, root)
    planned = _fitting(suite, choice, root, threads)
    unready = _unready(planned, suite, choice, where, all(artist.masks for artist in loaded))
    further = chain.from_iterable(entry.facts.looked_into for entry in planned)
    planner = Planner(suite, digests(suite, further), official.read_salt(choice.salt_file), calibrating, outside)
    cells = arranged(select(planner.cells(planned, loaded), choice.only), suite)
    return Session(
        suite,
        planner,
        cells,
        Store(root),
        environment.current(device, threads),
        device,
        choice.limit,
        unready,
        readiness.suite_lacks(suite, where) if choice.device is None else None,
        readiness.suite_warnings(suite, where),
    )


def _unready(
    planned: Sequence[PlannedEntry], suite: Suite, choice: Choice, device: readiness.Device, has_masks: bool
) -> dict[str, Lack]:
    """Returns why entries cannot run here, by name; raises UserError where a named one cannot."""
    reasons = readiness.entries_lack(claims_of(planned), suite, device, has_masks)
    if reasons and choice.protections:
        first = next(iter(reasons.values()))
        raise UserError(first.reason, first.remedy)
    return reasons


def _fitting(suite: Suite, choice: Choice, root: Path, threads: int) -> list[PlannedEntry]:
    """Returns the entries that the suite has operating points for; raises UserError where a named one has none."""
    named = entries(choice.protections, root, threads, call_limits(suite))
    planned = on_family(named, registry.family(suite.surrogate))
    if suite.calibrated:
        return planned
    fitting, unbound = [], []
    for entry in planned:
        if entry.facts.budget.runs_at_strengths:
            fitting.append(entry)
        else:
            unbound.append(entry.facts.name)
    if not unbound:
        return planned
    names = ", ".join(unbound)
    if choice.protections:
        raise UserError(
            f"expected a suite that calibrates strengths for {names}, got {suite.name!r}",
            "A protection without an L-infinity limit is compared at matched quality only.",
        )
    _log.warning("left out, because %s calibrates no strengths: %s", suite.name, names)
    return fitting


def digests(suite: Suite, further: Iterable[str] = ()) -> Digests:
    """Returns the digests of all weights that the suite touches; raises UserError where two models are the same one.

    Args:
        suite: The suite.
        further: Aliases of models, and names of CLIPs, that entries look into beside the surrogate.
    """
    aliases = catalogue.models(suite).union(further)
    named = {clips.EMBEDDED, clips.PUBLISHED} & aliases
    models = {alias: registry.model_digest(alias) for alias in sorted(aliases - named)}
    registry.check_distinct(models)
    models |= {name: clips.digest(name) for name in named}
    return Digests(
        models,
        registry.digest(registry.weights("mini-clip")),
        perceptual.digest(perceptual.EMBEDDED),
        "" if suite.perceptual == perceptual.EMBEDDED else perceptual.digest(suite.perceptual),
    )


def run(
    session: Session,
    executor: Executor | None = None,
    report: Reporter | None = None,
    keep_images: bool = False,
    time_limit: Deadline | None = None,
) -> list[Outcome]:
    """Runs what is missing, or what fits the time limit; finished cells are never run again.

    Args:
        session: The planned run. Its number of threads becomes that of this process.
        executor: Runs the cells; by default in this process.
        report: Shows progress; by default in words.
        keep_images: Whether the store keeps every generated image.
        time_limit: How long cells may be started.

    Returns:
        How each cell ended that ran.

    Raises:
        UserError: Weights are missing that every score needs, or, in an official run, anything. Nothing has run.
    """
    if session.refusal:
        raise UserError(session.refusal.reason, session.refusal.remedy)
    for sentence in session.lacks:
        _log.warning("%s", sentence)
    session.store.prepare()
    session.store.write_facts(suites.facts(session.suite))
    runner = executor or InlineExecutor()
    missing = session.take_over()
    progress.say(f"{len(missing)} of {len(session.cells)} cells are missing; Ctrl-C keeps finished ones")
    todo = missing[: session.limit]
    if time_limit is not None:
        todo = time_limit.fitting(todo, runner.count or 1)
    if not todo:
        return []
    _require(session, todo)
    torch.set_num_threads(session.environment.threads)
    metrics = weights.find_usable(session.suite.metrics.every)  # downloads what is missing
    work = pipeline.Pipeline(session.planner, session.store, session.environment, metrics, session.device, keep_images)
    may_start = time_limit.may_start if time_limit else always
    try:
        outcomes, ready = _skip(session, todo, work)
        if not ready:
            return outcomes
        with running(session.store.root), progress.hidden():  # the reporter says what is done
            return [*outcomes, *runner.run(ready, work, report or reporter(), may_start)]
    finally:
        close(cell.entry for cell in session.cells)
        work.stages.close()


def _skip(session: Session, cells: Sequence[Cell], work: pipeline.Pipeline) -> tuple[list[Outcome], list[Cell]]:
    """Records the cells whose entry cannot run here as skipped; returns how these ended, and the other cells."""
    outcomes, ready = [], []
    for cell in cells:
        name = cell.entry.facts.name
        if name in session.unready:
            outcomes.append(Outcome.of(work.skip(cell, str(session.unready[name]))))
        else:
            ready.append(cell)
    return outcomes, ready


def _require(session: Session, cells: Sequence[Cell]) -> None:
    """Raises UserError where something is missing that the cells cannot do without."""
    weights.require([session.suite.perceptual])
    official.require_essential(session.suite, any(cell.target is not None for cell in cells))
    if session.planner.salt == official.PUBLIC_SALT:
        return
    official.require(session.suite, session.environment)
    submissions = {cell.entry.facts.name for cell in cells if isinstance(cell.entry.instance, SandboxedSubmission)}
    official.require_accepted(sorted(submissions))


def failed(counts: Mapping[str, Counter[str]], ran: Sequence[Outcome] = ()) -> int:
    """Returns how many cells failed: by `Session.counts`, and in `ran` by faults of the machine."""
    faults = sum(outcome.status.is_retried for outcome in ran)
    for tally in counts.values():
        faults += tally.total() - tally[str(Status.OK)] - tally[str(Status.SKIPPED)] - tally["missing"]
    return faults
