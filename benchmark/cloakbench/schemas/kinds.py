"""The closed sets of the benchmark's words, with the facts about their members that code needs."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """What an entry is on a board: a submission, or one of the controls. The order is that of tables."""

    IDENTITY = "identity"
    """The images as they are: the clean arm."""
    PLACEBO = "placebo"
    """Noise of 1/255: the noise floor of the measurement."""
    RANDOM_NOISE = "random-noise"
    """Noise with the budget of the protections."""
    FLOOR = "floor"
    """The base model, which has never been trained on the artist."""
    SUBMISSION = "submission"

    @property
    def is_control(self) -> bool:
        """Whether every board holds this entry."""
        return self is not Role.SUBMISSION

    @property
    def fixed_strength(self) -> float | None:
        """The only strength that the entry runs at, 0 where its images are unchanged; None: it runs at the suite's.

        Entries with a fixed strength are the arms that others are compared with: they run with `seeds.controls` seeds,
        all others with `seeds.protected`.
        """
        return {Role.IDENTITY: 0.0, Role.FLOOR: 0.0, Role.PLACEBO: 1.0}.get(self)

    @property
    def has_strengths(self) -> bool:
        """Whether the entry runs at the suite's strengths and calibrated targets, with `seeds.protected` seeds."""
        return self.fixed_strength is None

    @property
    def changes_images(self) -> bool:
        """Whether the entry hands the mimic other images than the artist's own; `identity` and `floor` do not."""
        return self.fixed_strength != 0.0

    @property
    def has_images(self) -> bool:
        """Whether the mimic learns from images of this entry; for the floor it learns from none."""
        return self is not Role.FLOOR


class BudgetKind(StrEnum):
    """What limits how much a protection changes an image."""

    LINF = "linf"
    """Each level of the PNG differs by at most round(255 x budget x strength)."""
    PERCEPTUAL = "perceptual"
    """No L-infinity limit."""
    READY_MADE = "ready-made"
    """Images that exist already at some strengths; no code runs."""

    @property
    def runs_at_strengths(self) -> bool:
        """Whether an entry runs at the suite's strengths; without an L-infinity limit it runs at targets only."""
        return self is not BudgetKind.PERCEPTUAL

    @property
    def runs_at_targets(self) -> bool:
        """Whether strengths can be calibrated to a target of quality; ready-made images have only their own."""
        return self is not BudgetKind.READY_MADE


class Status(StrEnum):
    """How a cell ended."""

    OK = "ok"
    SKIPPED = "skipped"
    """No strength meets the target of quality, or the entry could not run where the others did; the reason says it."""
    INVALID_OUTPUT = "invalid_output"
    FAILED = "failed"
    TIMEOUT = "timeout"
    OOM = "oom"
    NO_SIGNAL = "no_signal"
    INFRA_ERROR = "infra_error"

    @property
    def counts_against_submission(self) -> bool:
        """Whether the submission is at fault: the cell counts as no protection."""
        return self in {Status.INVALID_OUTPUT, Status.FAILED, Status.TIMEOUT, Status.OOM}

    @property
    def is_retried(self) -> bool:
        """Whether the next run repeats the cell; every other status is final."""
        return self is Status.INFRA_ERROR


class PointState(StrEnum):
    """What the value of an entry at an operating point rests on, or why there is none."""

    CALIBRATED = "calibrated"
    """Measured at a strength that a run calibrated to the target."""
    INTERPOLATED = "interpolated"
    """Between two measured strengths."""
    MEASURED = "measured"
    """At a strength of the suite."""
    OVER_TARGET = "over target"
    """Measured where a metric is past its limit."""
    NOT_REACHED = "not reached"
    """No measured strength is as visible as the target allows."""
    NO_CURVE = "no curve"
    """Too few points to interpolate between."""
    MISSING = "missing"
    """Cells have no record."""
    NOT_DEFINED = "not defined"
    """The quantity has no meaning for this entry."""
    NO_SIGNAL = "no signal"
    """The attack learned from no artist."""
