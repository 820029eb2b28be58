"""Strengths of calibrated cells: sought once, stored, and on the artist's own images with a fractional step."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from cloakbench.cells import calibration, fitting
from cloakbench.cells.calibration import CalibrationSearch, CalibrationTarget
from cloakbench.cells.cost import Meter
from cloakbench.cells.plan import Cell, PlannedEntry, Planner
from cloakbench.cells.state import CellState
from cloakbench.datasets.artists import Artist
from cloakbench.images import Pixels
from cloakbench.schemas.record import Calibration
from cloakbench.store.store import CorruptFile, Store

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Calibrator:
    """Seeks strengths and stores them with their tries."""

    planner: Planner
    store: Store
    env_class: str
    device: torch.device
    protect: Callable[[PlannedEntry, float, Artist, Meter], list[Pixels]]
    """Returns an artist's protected images at a strength."""

    def seek(self, work: CellState) -> None:
        """Fills in strength, tries and cost of a calibrated cell; a search continues from the tries in the store.

        On the artist's own images the strength is a whole level, and `fit` makes the fractional step. Raises NotReached
        where no strength meets the target, and SubmissionFault.
        """
        cell, target = work.cell, self._target(work.cell)
        name = cell.keys["calibrate"]
        search = CalibrationSearch(
            metrics=list(target.limits),
            artists=self.planner.calibrating(cell.artist),
            protect=partial(self.protect, cell.entry),
            keep=partial(self._write, name),
            device=self.device,
            state=self._read(name),
        )
        count = len(search.state.tries)
        levels = self.planner.suite.budget_255
        try:
            if cell.is_fitted:
                work.strength = fitting.whole_level(target.limits, levels, search.measure) / levels
            else:
                work.strength = calibration.bisect(target, search.measure)
        finally:
            work.calibration = search.state.tries
            is_cached = len(search.state.tries) == count
            work.meter.costs["calibrate"] = search.state.cost.model_copy(update={"cached": is_cached})

    def fitted(self, cell: Cell) -> float | None:
        """Returns the strength after the fractional step; None where the step has not been made here."""
        return self._read(cell.keys["calibrate"]).fitted

    def fit(self, work: CellState) -> list[Pixels]:
        """Returns protected images that keep all limits, from the whole level of `seek` on; stores their strength."""
        cell, levels = work.cell, self.planner.suite.budget_255
        limits, originals = self._target(cell).limits, cell.artist.images

        def measure(changed: Sequence[Pixels]) -> dict[str, float]:
            return calibration.mean_quality(list(limits), [(changed, originals)], self.device)

        def protect(level: int) -> list[Pixels]:
            return self.protect(cell.entry, level / levels, cell.artist, work.meter)

        allowed = range(round(work.strength * levels), levels + 1)
        level, step = fitting.fit(limits, allowed, originals, protect, measure)
        name = cell.keys["calibrate"]
        strength = round(level / levels * step.share, 6)
        self._write(name, self._read(name).model_copy(update={"fitted": strength}))
        return list(step.images)

    def _target(self, cell: Cell) -> CalibrationTarget:
        matching = self.planner.suite.matching
        assert matching is not None
        assert cell.target is not None
        return CalibrationTarget(matching.limits(cell.target), matching.tolerance)

    def _read(self, name: str) -> Calibration:
        if not self.store.is_usable(name, self.env_class):
            return Calibration()
        try:
            return self.store.read_calibration(name, self.env_class)
        except CorruptFile as error:
            _log.warning("%s", error)
            return Calibration()

    def _write(self, name: str, state: Calibration) -> None:
        self.store.write_calibration(name, self.env_class, state)
        self.store.mark_own(name, self.env_class)
