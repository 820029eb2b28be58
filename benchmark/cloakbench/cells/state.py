"""What a cell has produced so far."""

from __future__ import annotations

from dataclasses import dataclass, field

from cloakbench.attacks.mimicry.packed import Adapters
from cloakbench.cells.cost import Meter
from cloakbench.cells.plan import Cell
from cloakbench.images import Pixels
from cloakbench.schemas.record import StageCost


@dataclass(frozen=True, slots=True)
class PackShare:
    """What a cell has of a pack: its trained adapters, and the cost that `count` cells share."""

    adapters: Adapters
    cost: StageCost
    count: int


@dataclass
class CellState:
    """The state of one cell: each stage reads what those before it filled in, and fills in its part."""

    cell: Cell
    strength: float = 0.0
    calibration: list[tuple[float, dict[str, float]]] = field(default_factory=list)
    meter: Meter = field(default_factory=Meter)
    protected: list[Pixels] = field(default_factory=list)
    cleaned: list[Pixels] = field(default_factory=list)
    """What the mimic gets: the protected images after the attack's countermeasures."""
    damage: dict[str, list[float]] = field(default_factory=dict)
    """What the countermeasures do to clean images, by metric; of the clean arm alone."""
    detection: dict[str, list[float]] = field(default_factory=dict)
    """Scores of an attack's detector, of the protected and of the clean images."""
    pack: PackShare | None = None
    """None where the mimic learns for this cell alone."""
    generated: list[Pixels] = field(default_factory=list)
    clean_edits: list[Pixels] = field(default_factory=list)
    """The same edits of the artist's clean images; empty for other attacks."""
    quality: dict[str, list[float]] = field(default_factory=dict)
    generations: dict[str, list[float]] = field(default_factory=dict)
    sets: dict[str, float] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    digests: dict[str, list[str]] = field(default_factory=dict)
