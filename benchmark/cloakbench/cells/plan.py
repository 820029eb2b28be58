"""Plans a run: every cell with the key of each of its stages, before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cloakbench.attacks import catalogue
from cloakbench.cells.recipes import RecipeBuilder
from cloakbench.contract import Protection
from cloakbench.datasets.artists import Artist
from cloakbench.schemas.external import ExternalAttack
from cloakbench.schemas.kinds import BudgetKind, Role
from cloakbench.schemas.ranked_cells import runs_at
from cloakbench.schemas.recipes import Recipes
from cloakbench.schemas.record import ProtectionFacts
from cloakbench.schemas.suite import AttackSpec
from cloakbench.store import key
from cloakbench.submissions.sandbox.client import SandboxedSubmission

FLOOR = ProtectionFacts(
    name="floor",
    version="1",
    distribution="cloakbench",
    package_digest="",
    role=Role.FLOOR,
    budget=BudgetKind.LINF,
    title="Base model that never saw the artist",
    paper="",
    licence="Apache-2.0",
    deterministic=True,
)


@dataclass(frozen=True, slots=True)
class PlannedEntry:
    """One row of a board: its facts, and what protects: an object here, a process, or nothing for the floor."""

    facts: ProtectionFacts
    instance: Protection | SandboxedSubmission | None

    @property
    def isolation(self) -> str:
        """How its code is isolated; empty where it runs in the harness."""
        return self.instance.isolation if isinstance(self.instance, SandboxedSubmission) else ""

    @property
    def needs(self) -> tuple[str, ...]:
        """What a submission says that it needs."""
        return tuple(self.facts.needs)


@dataclass(frozen=True, slots=True)
class Cell:
    """The unit of work, of resume and of record; `keys` are by stage, `key` is that of the last."""

    entry: PlannedEntry
    strength: float | None
    """None for a cell that is calibrated to `target`."""
    artist: Artist
    attack: AttackSpec
    seed: int
    keys: Mapping[str, str]
    recipes: Recipes
    target: float | None = None
    """Value of the suite's matching metric."""

    @property
    def key(self) -> str:
        """The key of the record."""
        return self.keys["measure"]

    @property
    def label(self) -> str:
        """What runs, for progress lines."""
        at = f"@{self.strength:g}" if self.strength else f"@target={self.target:g}" if self.target is not None else ""
        return f"{self.entry.facts.name}{at} {self.artist.name} {self.attack.name} seed {self.seed}"

    @property
    def search(self) -> str:
        """Which search it needs, for progress lines; empty where its strength is given."""
        if self.target is None:
            return ""
        words = f"calibrating {self.entry.facts.name} to target {self.target:g}"
        return f"{words} on {self.artist.name}" if self.is_fitted else words

    @property
    def is_fitted(self) -> bool:
        """Whether its strength is sought on the artist's own images, with a fractional step."""
        return self.recipes.calibrate is not None and self.recipes.calibrate.levels is not None


@dataclass(frozen=True, slots=True)
class Planner(RecipeBuilder):
    """Makes cells of a suite, its artists and the entries."""

    external: Sequence[ExternalAttack] = ()
    """Attacks of packages, which run beside those of the suite with one seed."""

    def attack(self, name: str) -> AttackSpec:
        """Returns an attack of the suite or of a package; raises KeyError where there is none."""
        for attack in self.external:
            if attack.name == name:
                return attack
        return self.suite.attack(name)

    def cells(self, entries: Sequence[PlannedEntry], artists: Sequence[Artist]) -> list[Cell]:
        """Returns all cells, artist by artist, controls before protections; `ordering` says in which order they run."""
        ordered = _controls_first(entries)
        cells: list[Cell] = []
        for artist in artists:
            for entry in ordered:
                cells += self._of(entry, artist)
        return cells

    def _of(self, entry: PlannedEntry, artist: Artist) -> Iterator[Cell]:
        role, suite = entry.facts.role, self.suite
        count = suite.seeds.protected if role.has_strengths else suite.seeds.controls
        for strength, target in self._points(entry.facts):
            for attack in suite.attacks:
                is_run = not role.has_strengths or runs_at(suite, attack.name, entry.facts.budget, target)
                if is_run and _applies(role, attack):
                    for seed in range(count):
                        yield self.cell(entry, strength, artist, attack, seed, target)
            if role.has_images:
                for external in self.external:
                    yield self.cell(entry, strength, artist, external, 0, target)

    def _points(self, facts: ProtectionFacts) -> list[tuple[float | None, float | None]]:
        """Returns the operating points of an entry: strengths without, and targets without strength."""
        if facts.role.fixed_strength is not None:
            return [(facts.role.fixed_strength, None)]
        points: list[tuple[float | None, float | None]] = []
        if facts.budget.runs_at_strengths:
            points += [(strength, None) for strength in self.suite.strengths]
        if facts.budget.runs_at_targets:
            points += [(None, target) for target in self.suite.calibrated]
        return points

    def cell(
        self,
        entry: PlannedEntry,
        strength: float | None,
        artist: Artist,
        attack: AttackSpec,
        seed: int,
        target: float | None = None,
    ) -> Cell:
        """Returns one cell with its recipes and keys; without a strength it is calibrated to `target`."""
        recipes = self.build(entry.facts, strength, target, artist, attack, seed)
        return Cell(entry, strength, artist, attack, seed, _keys_by_stage(recipes), recipes, target)


def _keys_by_stage(recipes: Recipes) -> dict[str, str]:
    """Returns the key of each stage; later recipes name those of earlier ones, so that only the last is digested."""
    keys: dict[str, str] = {}
    for recipe in recipes.stages():
        keys |= recipe.parents
    keys[recipes.measure.stage] = key.digest(recipes.measure.content())
    return {recipe.stage: keys[recipe.stage] for recipe in recipes.stages()}


def _applies(role: Role, attack: AttackSpec) -> bool:
    """Returns whether an arm runs an attack.

    The floor has no images to clean or to edit, and the clean arm's edit is what all others are compared with.
    """
    if not catalogue.is_ranked(attack):
        return role.changes_images
    return role.has_images or attack.countermeasure is None


def _controls_first(entries: Sequence[PlannedEntry]) -> list[PlannedEntry]:
    """Returns the entries in the order of roles, the clean arm and the floor first: every score needs both."""
    order = list(Role)
    by_role = sorted(entries, key=lambda entry: (order.index(entry.facts.role), entry.facts.name))
    return sorted(by_role, key=lambda entry: entry.facts.role.changes_images)
