"""The plan: every cell of a run with the key of each of its stages, known before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cloakbench.attacks import catalogue
from cloakbench.attacks.stage import StageFacts
from cloakbench.contract import Protection
from cloakbench.datasets.artists import Artist
from cloakbench.metrics import catalogue as metrics
from cloakbench.metrics import weights
from cloakbench.schemas.kinds import BudgetKind, Role
from cloakbench.schemas.record import ProtectionFacts
from cloakbench.schemas.suite import AttackSpec, Suite
from cloakbench.store import key, seeds
from cloakbench.submissions.sandbox.client import SandboxedSubmission

SAMPLING_VERSION = 2
GUARD_VERSION = 2
CALIBRATION_VERSION = 2

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
        """How its code is kept apart, empty where it runs in the harness."""
        return self.instance.isolation if isinstance(self.instance, SandboxedSubmission) else ""


@dataclass(frozen=True, slots=True)
class Digests:
    """SHA-256 of the weights that a suite touches: base models by alias, the judge, the perceptual distance."""

    models: Mapping[str, str]
    judge: str
    perceptual: str
    """Of the embedded distance, which is a metric too."""
    distance: str = ""
    """Of the distance that the suite names; empty for the embedded one."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The unit of work, of resume and of record; `keys` and `recipe` are by stage, `key` is that of the last."""

    entry: PlannedEntry
    strength: float | None
    """None where it is sought: the cell is calibrated to `target`."""
    artist: Artist
    attack: AttackSpec
    seed: int
    keys: Mapping[str, str]
    recipes: Mapping[str, Mapping[str, Any]]
    target: float | None = None
    """Value of the suite's matching metric."""

    @property
    def key(self) -> str:
        """The key that the record lies under."""
        return self.keys["measure"]

    @property
    def label(self) -> str:
        """What runs, for progress lines."""
        at = f"@{self.strength:g}" if self.strength else f"@target={self.target:g}" if self.target is not None else ""
        return f"{self.entry.facts.name}{at} {self.artist.name} {self.attack.name} seed {self.seed}"

    @property
    def search(self) -> str:
        """What is sought for it, for progress lines; empty where its strength is given."""
        return "" if self.target is None else f"calibrating {self.entry.facts.name} to target {self.target:g}"


@dataclass(frozen=True, slots=True)
class Planner:
    """Turns a suite, its artists and the entries into cells."""

    suite: Suite
    digests: Digests
    salt: str
    calibration: Sequence[Artist] = ()
    """On whose images strengths are sought."""

    def cells(self, entries: Sequence[PlannedEntry], artists: Sequence[Artist]) -> list[Cell]:
        """Returns all cells, artist by artist, controls before protections; `ordering` says in which order they run."""
        ordered = _controls_first(entries)
        return [cell for artist in artists for entry in ordered for cell in self._of(entry, artist)]

    def _of(self, entry: PlannedEntry, artist: Artist) -> Iterator[Cell]:
        role, suite = entry.facts.role, self.suite
        count = suite.seeds.protected if role.has_strengths else suite.seeds.controls
        for strength, target in self._points(entry.facts):
            for attack in suite.attacks:
                if _applies(role, attack):
                    for seed in range(count):
                        yield self.cell(entry, strength, artist, attack, seed, target)

    def _points(self, facts: ProtectionFacts) -> list[tuple[float | None, float | None]]:
        """Returns the operating points of an entry: strengths without, and targets without strength."""
        if facts.role.fixed_strength is not None:
            return [(facts.role.fixed_strength, None)]
        strengths = self.suite.strengths if facts.budget.runs_at_strengths else []
        targets = self.suite.calibrated if facts.budget.runs_at_targets else []
        return [*((strength, None) for strength in strengths), *((None, target) for target in targets)]

    def cell(
        self,
        entry: PlannedEntry,
        strength: float | None,
        artist: Artist,
        attack: AttackSpec,
        seed: int,
        target: float | None = None,
    ) -> Cell:
        """Returns one cell with its recipes and keys; without a strength it is sought for `target`."""
        recipes: dict[str, dict[str, Any]] = {}
        keys: dict[str, str] = {}

        def stage(name: str, recipe: dict[str, Any], *parents: str) -> None:
            recipes[name] = {"stage": name, **recipe, "parents": {p: keys[p] for p in parents}}
            keys[name] = key.digest(recipes[name])

        edits = not catalogue.is_ranked(attack)
        parents: list[str] = []
        if entry.facts.role.has_images:
            asked = self._protect(entry.facts, artist)
            if strength is None:
                stage("calibrate", self._calibrate(entry.facts, target))
                stage("protect", asked, "calibrate")
            else:
                stage("protect", {**asked, "strength": strength})
            parents = ["protect"]
            if attack.countermeasure is not None:
                stage("countermeasure", self._countermeasure(attack, artist), *parents)
                parents = ["countermeasure"]
            if not edits:
                stage("personalise", self._personalise(attack, artist, seed), *parents)
                parents = ["personalise"]
        stage("generate", (self._edit if edits else self._generate)(attack, artist, seed), *parents)
        stage("measure", self._measure(artist, edits), *(p for p in ("protect", "generate") if p in keys))
        return Cell(entry, strength, artist, attack, seed, keys, recipes, target)

    def _calibrate(self, facts: ProtectionFacts, target: float | None) -> dict[str, Any]:
        chosen = self.suite.matching
        if chosen is None or target not in chosen.calibrated:
            raise ValueError(f"expected a calibrated target of the suite {self.suite.name}, got {target}")
        limits = chosen.limits(target)
        return {
            "version": CALIBRATION_VERSION,
            "asked": [self._protect(facts, artist) for artist in self.calibration],
            **_measured(list(limits)),
            "metric": chosen.metric,
            "limits": limits,
            "tolerance": chosen.tolerance,
        }

    def _protect(self, facts: ProtectionFacts, artist: Artist) -> dict[str, Any]:
        suite = self.suite
        return {
            "version": GUARD_VERSION,
            "protection": facts.name,
            "protection_version": facts.version,
            "package": facts.package_digest,
            "budget_255": suite.budget_255,
            "images": artist.image_digests,
            "captions": list(artist.captions),
            "class_word": suite.class_word,
            "surrogate": self.digests.models[suite.surrogate],
            "perceptual": self.digests.distance or self.digests.perceptual,
            "seed": suite.protect_seed,
            "dtype": suite.dtype,
        }

    def _countermeasure(self, attack: AttackSpec, artist: Artist) -> dict[str, Any]:
        chain = catalogue.chain(attack.countermeasure)
        parts = [self._part(stage, artist, turn) for stage, turn in zip(chain, catalogue.turns(chain), strict=True)]
        return parts[0] if len(parts) == 1 else {"chain": parts}

    def _part(self, stage: StageFacts, artist: Artist, turn: int) -> dict[str, Any]:
        """Returns one countermeasure's recipe: its seed is the first one's, so that all seeds share the images."""
        first = turn * len(artist.images)
        settings = catalogue.settings(stage, self.suite)
        recipe = {
            "version": stage.version,
            "name": stage.name,
            "parameters": settings,
            "seed": self.seed(artist.name, 0, f"countermeasure:{stage.name}", first),
        }
        used = {name: self.digests.models[str(settings[name])] for name in stage.models if settings.get(name)}
        if used:
            recipe |= {"models": used, "captions": list(artist.captions), "dtype": self.suite.dtype}
        if stage.perceptual:
            recipe["perceptual"] = self.digests.distance or self.digests.perceptual
        return recipe

    def _personalise(self, attack: AttackSpec, artist: Artist, seed: int) -> dict[str, Any]:
        suite, stage = self.suite, catalogue.find("mimicry", attack.mimicry)
        settings = catalogue.settings(stage, suite)
        recipe = {
            "version": stage.version,
            "name": attack.mimicry,
            "parameters": settings,
            "model": self.digests.models[attack.model],
            "captions": list(artist.captions),
            "seed": self.seed(artist.name, seed, f"personalise:{attack.mimicry}"),
            "dtype": suite.dtype,
        }
        if settings.get("prior_weight"):
            recipe["class"] = {"word": suite.class_word, "sampling": suite.sampling.model_dump()}
        return recipe

    def _edit(self, attack: AttackSpec, artist: Artist, seed: int) -> dict[str, Any]:
        stage = catalogue.imitation(attack)
        return {
            "version": stage.version,
            "name": stage.name,
            "parameters": catalogue.settings(stage, self.suite),
            "prompts": self.suite.edit_prompts,
            "class_word": self.suite.class_word,
            "model": self.digests.models[attack.model],
            "seed": self.seed(artist.name, seed, stage.name),
            "dtype": self.suite.dtype,
        } | ({"masks": artist.mask_digests} if stage.needs_masks else {})

    def _generate(self, attack: AttackSpec, artist: Artist, seed: int) -> dict[str, Any]:
        return {
            "version": SAMPLING_VERSION,
            "sampling": self.suite.sampling.model_dump(),
            "token": self.suite.token,
            "class_word": self.suite.class_word,
            "model": self.digests.models[attack.model],
            "mimicry": attack.mimicry,
            "seed": self.seed(artist.name, seed, "generate"),
            "dtype": self.suite.dtype,
        }

    def _measure(self, artist: Artist, edits: bool) -> dict[str, Any]:
        chosen = self.suite.metrics
        if edits:
            names = sorted({*chosen.quality, *chosen.edit})
            return {**_measured(names), "perceptual": self.digests.perceptual}
        names = sorted({chosen.primary, *chosen.quality, *chosen.generation, *chosen.sets})
        recipe = {
            **_measured(names),
            "judge": self.digests.judge,
            "perceptual": self.digests.perceptual,
            "references": artist.reference_digests,
        }
        if any(metrics.entry(name).needs_base_model for name in names):
            recipe["classifier"] = self.digests.models[self.suite.surrogate]
        return recipe

    def seed(self, artist: str, index: int, stage: str, draw: int = 0) -> int:
        """Returns the attack seed of a stage."""
        return seeds.derive(self.salt, self.suite.name, artist, index, stage, draw)


def _measured(names: Sequence[str]) -> dict[str, Any]:
    """Returns the versions of metrics, and the digests of the weights that some need beside the embedded ones."""
    used = weights.digests(names)
    return {"metrics": metrics.versions(names)} | ({"weights": used} if used else {})


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
