"""Packs: LoRA cells of one model and recipe whose adapters a GPU trains together."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from cloakbench.attacks.mimicry import packed
from cloakbench.attacks.mimicry.lora import LoRA
from cloakbench.attacks.mimicry.packed import PackedCell
from cloakbench.cells.cost import Meter
from cloakbench.cells.plan import Cell
from cloakbench.cells.stages import Stages
from cloakbench.cells.state import CellState, PackShare
from cloakbench.system import memory

_log = logging.getLogger(__name__)
LARGEST = {"cuda": 16}
"""Most cells of a pack, by kind of device; on others each cell is trained alone."""


def largest(device: torch.device) -> int:
    """Returns how many cells are trained together at most."""
    return LARGEST.get(device.type, 1)


@dataclass
class Packs:
    """Trains a LoRA cell together with those like it that wait; each then runs by itself in its turn.

    A pack is halved where it fails: where memory runs out, and where one cell is at fault, which then fails alone.
    """

    stages: Stages
    most: int
    _waiting: dict[str, Cell] = field(default_factory=dict)
    _shares: dict[str, PackShare] = field(default_factory=dict)

    def expect(self, cells: Sequence[Cell]) -> None:
        """Notes the cells that are going to run here, in their order."""
        self._waiting = {cell.key: cell for cell in cells}

    def train(self, work: CellState) -> None:
        """Fills in a cell's share of a pack where it has one; a cell that has none yet is packed with others."""
        cell = work.cell
        self._waiting.pop(cell.key, None)
        if self.most > 1 and cell.key not in self._shares and _group(cell) is not None:
            self._train([work, *self._others(cell)])
        work.pack = self._shares.pop(cell.key, None)

    def _others(self, cell: Cell) -> list[CellState]:
        """Returns the cells that wait and can be trained with a cell, protected and cleaned."""
        states: list[CellState] = []
        for other in self._waiting.values():
            if len(states) == self.most - 1:
                break
            if _group(other) != _group(cell) or other.key in self._shares:
                continue
            state = CellState(other)
            try:
                self.stages.calibrate(state)
                self.stages.protect(state)
                self.stages.clean(state)
            except Exception as error:
                _log.debug("%s: %s", other.label, error)  # the cell fails in its turn, and says why
            else:
                states.append(state)
        return states

    def _train(self, states: Sequence[CellState]) -> None:
        if len(states) < 2:
            return
        try:
            self._train_together(states)
        except Exception as error:
            if memory.is_out_of_memory(error):
                self.most = len(states) // 2
            _log.warning(
                "training the adapters of %d cells in halves: %s: %s", len(states), type(error).__name__, error
            )
        else:
            return
        memory.release()  # not above: the error's traceback holds what the training held
        middle = len(states) // 2
        self._train(states[:middle])
        self._train(states[middle:])

    def _train_together(self, states: Sequence[CellState]) -> None:
        cell, meter = states[0].cell, Meter()
        attack = self.stages.mimicry(cell)
        assert isinstance(attack, LoRA)
        members = []
        for state in states:
            assert state.cell.recipes.personalise is not None
            members.append(PackedCell(self.stages.training_set(state), state.cell.recipes.personalise.seed))
        model = self.stages.model(cell.attack.model)
        with meter.stage("personalise"):
            trained = packed.train(model, attack, members, is_compiled=len(states) == self.most)
        cost = meter.costs["personalise"]
        for state, adapters in zip(states, trained, strict=True):
            self._shares[state.cell.key] = PackShare(adapters, cost, len(states))


def _group(cell: Cell) -> tuple[object, ...] | None:
    """Returns what cells of one pack have in common; None for a cell that is trained alone."""
    recipe = cell.recipes.personalise
    if recipe is None or recipe.name != "lora" or recipe.parameters.get("optimizer", "adamw") != "adamw":
        return None
    sizes = {image.shape for image in cell.artist.images}
    return recipe.version, recipe.model, recipe.dtype, sorted(recipe.parameters.items()), sorted(sizes)
