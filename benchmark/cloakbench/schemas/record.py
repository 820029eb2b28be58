"""The record that a cell leaves behind: one canonical JSON document, readable without torch."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 1


class Status(StrEnum):
    """How a cell ended; a submission's own fault counts against it, `infra_error` is tried again."""

    OK = "ok"
    SKIPPED = "skipped"
    INVALID_OUTPUT = "invalid_output"
    FAILED = "failed"
    TIMEOUT = "timeout"
    OOM = "oom"
    NO_SIGNAL = "no_signal"
    INFRA_ERROR = "infra_error"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ProtectionFacts(_Frozen):
    """Who protected: everything that a board says about an entry."""

    name: str
    """Entry-point name with parameters, such as `photoguard` or `impasto[base=advdm]`."""
    version: str
    """Version of the distribution."""
    distribution: str
    """Name of the distribution that offers it."""
    package_digest: str
    """SHA-256 over the distribution's installed files."""
    role: str
    """`submission`, or the control it is: `identity`, `placebo`, `random-noise`, `floor`."""
    budget: str
    """`linf`, `perceptual` or `ready-made`."""
    title: str
    paper: str
    licence: str
    deterministic: bool


class AttackFacts(_Frozen):
    """What the mimic did: countermeasure (or none), mimicry, base model."""

    name: str
    countermeasure: str | None
    mimicry: str
    model: str
    versions: dict[str, int]
    """Version of each stage's code by name."""


class StageCost(_Frozen):
    """What one stage cost; `cached` when its output was already in the store."""

    wall_s: float
    device_s: float
    peak_bytes: int
    cached: bool
    energy_j: float | None = None
    """Joules that the GPU took meanwhile, by NVML; None where there is no such counter."""
    chunk: int | None = None
    """How many images were computed at once in the end, where memory was too short for as many as usual."""


class Calibration(_Frozen):
    """The search for a strength as far as it has come; the strength follows from the tries."""

    tries: list[tuple[float, dict[str, float]]] = []
    """Each strength that was tried, with the mean of every limited metric over the calibration images, in order."""
    cost: StageCost = StageCost(wall_s=0, device_s=0, peak_bytes=0, cached=False)


class Environment(_Frozen):
    """Where it ran; `env_class` groups records whose numbers may be paired."""

    env_class: str
    device: str
    threads: int
    packages: dict[str, str]
    libjpeg: str
    commit: str
    dirty: bool


class Record(_Frozen):
    """One cell: protection x operating point x artist x attack x seed."""

    schema_version: int = SCHEMA_VERSION
    key: str
    """SHA-256 of the recipe."""
    suite: str
    suite_version: int
    protection: ProtectionFacts
    strength: float
    """In (0, 1]; 0 for `identity` and `floor`, which have none, and where no strength meets `target`."""
    target: float | None = None
    """Value of the suite's matching metric that `strength` was sought for; None: the suite gives the strength."""
    isolation: str = ""
    """How the submission's code was kept apart: `bubblewrap`, `process`, or empty where it ran in the harness."""
    calibration: list[tuple[float, dict[str, float]]] = []
    """The search for it: each strength that was tried, with the mean of every limited metric over the calibration
    images."""
    artist: str
    attack: AttackFacts
    seed: int
    """Index, not the derived seed."""
    salt_digest: str
    status: Status
    reason: str
    """Why, in one sentence, where the status is not `ok`; else empty."""
    traceback: str
    components: dict[str, Any]
    """The recipe that `key` is the digest of."""
    quality: dict[str, list[float]]
    """Per protected image: metric name -> one value an image (against the original)."""
    generations: dict[str, list[float]]
    """Per generated image: metric name -> one value an image."""
    sets: dict[str, float]
    """Metrics of the whole set of generations."""
    skipped: dict[str, str] = {}
    """Metrics of the suite that have no value here, and why, such as weights that were missing."""
    digests: dict[str, list[str]]
    """Evidence: stage -> SHA-256 of each image's pixels."""
    environment: Environment
    cost: dict[str, StageCost]
    """By stage: protect, countermeasure, personalise, generate, measure."""
    created: str = Field(description="UTC time, ISO 8601")
