"""The record that a cell leaves behind: one canonical JSON document, readable without torch."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from cloakbench.schemas import fields
from cloakbench.schemas.external import AttackPackage
from cloakbench.schemas.kinds import BudgetKind, Role, Status
from cloakbench.schemas.recipes import Recipes

SCHEMA_VERSION: Literal[1] = 1


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ProtectionFacts(_Frozen):
    """The facts of an entry, as a board states them."""

    name: fields.EntryName
    """Entry-point name with parameters, such as `photoguard` or `impasto[base=advdm]`."""
    version: fields.Name
    """Version of the distribution."""
    distribution: fields.Name
    """Name of the distribution that offers it."""
    package_digest: fields.OptionalDigest
    """SHA-256 over the distribution's installed files."""
    role: Role
    budget: BudgetKind
    title: fields.Line
    paper: fields.Line
    """Address of the paper."""
    paper_title: fields.Line = ""
    authors: fields.Line = ""
    """Of the paper, as BibTeX writes them."""
    licence: fields.Line
    contact: fields.Line = ""
    """Where the authors of its code answer: address of a page, or e-mail."""
    deterministic: bool
    settings: dict[fields.Identifier, bool | int | fields.FiniteFloat | fields.Name] = {}
    """Parameters that the user left out and that follow the family of the suite's surrogate, with their values."""
    needs: list[fields.Name] = []
    """What it cannot do without, as its class says."""
    looked_into: list[fields.Name] = []
    """Aliases of the base models that it got in addition to the suite's surrogate; an attack on one is no transfer."""


class AttackFacts(_Frozen):
    """What the mimic did: countermeasure (or none), mimicry, base model."""

    name: fields.Name
    countermeasure: fields.Name | None
    mimicry: fields.Name
    model: fields.Name
    versions: dict[fields.Name, fields.Count]
    """Version of each stage's code by name."""
    package: AttackPackage | None = None
    """The package that the countermeasure comes from; None for attacks of the suite."""


class StageCost(_Frozen):
    """What one stage cost; `cached` when its output was already in the store."""

    wall_s: fields.Amount
    device_s: fields.Amount
    peak_bytes: fields.Count
    cached: bool
    energy_j: fields.Amount | None = None
    """Joules that the GPU took meanwhile, by NVML; None where there is no such counter."""
    chunk: fields.Count | None = None
    """How many images were computed at once in the end, where memory was too short for as many as usual."""


class Calibration(_Frozen):
    """The search for a strength as far as it has come; the strength follows from the tries."""

    tries: list[tuple[fields.Strength, dict[fields.Identifier, fields.FiniteFloat]]] = []
    """Each strength that was tried, with the mean of every limited metric over the calibration images, in order."""
    cost: StageCost = StageCost(wall_s=0, device_s=0, peak_bytes=0, cached=False)
    fitted: fields.Strength | None = None
    """The strength after the fractional step on all of an artist's own images; None where none was made."""


class Environment(_Frozen):
    """The environment of a run; `env_class` groups records whose numbers may be paired."""

    env_class: fields.EnvClass
    device: fields.Name
    threads: fields.Count
    packages: dict[fields.Identifier, fields.Name]
    libjpeg: fields.Name
    commit: fields.Commit
    dirty: bool


class Record(_Frozen):
    """One cell: protection x operating point x artist x attack x seed."""

    schema_version: Literal[1] = SCHEMA_VERSION
    key: fields.Key
    """SHA-256 of the recipe."""
    suite: fields.Identifier
    suite_version: fields.Count
    protection: ProtectionFacts
    strength: fields.Strength
    """In (0, 1]; 0 for `identity` and `floor`, which have none, and where no strength meets `target`."""
    target: fields.FiniteFloat | None = None
    """Value of the suite's matching metric to which `strength` was calibrated; None: the suite gives the strength."""
    isolation: fields.Name = ""
    """How the submission's code was kept apart: `bubblewrap`, `process`, or empty where it ran in the harness."""
    calibration: list[tuple[fields.Strength, dict[fields.Identifier, fields.FiniteFloat]]] = []
    """The search for it: each strength that was tried, with the mean of every limited metric over the calibration
    images."""
    artist: fields.Name
    attack: AttackFacts
    seed: fields.Count
    """Index, not the derived seed."""
    salt_digest: fields.OptionalDigest
    status: Status
    reason: fields.Text
    """Why, in one sentence, where the status is not `ok`; else empty."""
    traceback: fields.Trace
    components: dict[fields.Identifier, fields.Recipe]
    """Recipe of each stage, word for word: a key is the digest of one. `recipes` reads them."""
    quality: dict[fields.Identifier, fields.Values]
    """Per protected image: metric name -> one value per image (against the original)."""
    damage: dict[fields.Identifier, fields.Values] = {}
    """What a countermeasure does to clean images: metric name -> one value per image; of the clean arm alone."""
    detection: dict[fields.Identifier, fields.Values] = {}
    """Scores of an attack's detector: of the `protected` images and of the `clean` ones, one per image."""
    generations: dict[fields.Identifier, fields.Values]
    """Per generated image: metric name -> one value per image."""
    sets: dict[fields.Identifier, fields.FiniteFloat]
    """Metrics of the whole set of generations."""
    skipped: dict[fields.Identifier, fields.Text] = {}
    """Metrics of the suite that have no value here, and why, such as weights that were missing."""
    digests: dict[fields.Identifier, fields.Digests]
    """Evidence: stage -> SHA-256 of each image's pixels."""
    environment: Environment
    cost: dict[fields.Identifier, StageCost]
    """By stage: protect, countermeasure, personalise, generate, measure."""
    created: fields.Timestamp
    """UTC time, ISO 8601."""

    @property
    def recipes(self) -> Recipes | None:
        """The recipes that `components` holds; None where they are not such as a run writes."""
        try:
            return Recipes.model_validate(self.components)
        except ValidationError:
            return None
