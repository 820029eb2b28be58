"""Tables of a suite that are no recipes: how quality is matched, what a call may use, what papers report."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator


class SuiteTable(BaseModel):
    """Part of a suite's file; an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Limits = Annotated[list[float], Field(min_length=3, max_length=3)]
"""One value at each of the three targets."""


class Matching(SuiteTable):
    """At which quality entries are compared, and how the strength that meets it is calibrated."""

    metric: str
    """The quality metric that is matched."""
    targets: Limits
    """From better to worse quality; the middle one carries the rank."""
    calibrated: list[float] = []
    """Those of `targets` for which a run seeks the strength of each protection."""
    tolerance: float = Field(gt=0)
    """How much better than the target the quality at the found strength may be, in the metric's unit."""
    gates: dict[str, Limits] = {}
    """Further quality metrics with the worst value allowed at each target."""
    artists: list[str] = []
    """Artists whose images calibrate strengths: artists of the dataset that the suite does not protect."""
    images_per_artist: int = Field(default=2, ge=1)
    """On how many images of an artist a strength is sought."""
    own_images: bool = False
    """Whether the strength is sought per artist, on the artist's own images: in whole 8-bit levels, with a last
    fractional step. All limits are then kept on all of the artist's images."""

    @model_validator(mode="after")
    def _ordered(self) -> Matching:
        for name, values in {"targets": self.targets, **self.gates}.items():
            if values not in (sorted(values), sorted(values, reverse=True)):
                raise ValueError(f"{name} must go from better to worse quality, got {values}")
        if len(set(self.targets)) != len(self.targets):
            raise ValueError(f"targets must differ, got {self.targets}")
        if len(set(self.calibrated)) != len(self.calibrated) or set(self.calibrated) - set(self.targets):
            raise ValueError(
                f"calibrated must name some of the targets {self.targets}, each once, got {self.calibrated}"
            )
        return self

    @property
    def limited(self) -> tuple[str, ...]:
        """The metrics that have a limit, the matched one first."""
        return (self.metric, *self.gates)

    def limits(self, target: float) -> dict[str, float]:
        """Returns the worst value allowed of each metric at one of the targets, the matched metric first."""
        position = self.targets.index(target)
        return {self.metric: target, **{name: gate[position] for name, gate in self.gates.items()}}


class CallLimits(SuiteTable):
    """What one call of a submission may use; a call protects all images of one artist."""

    seconds: float = Field(default=3600.0, gt=0)
    memory_gib: float = Field(default=32.0, gt=0)
    """Main memory of all its processes together."""


class PublishedFigure(SuiteTable):
    """A row of a paper's table. Its settings differ from the suite's: ours compares with it in direction only."""

    paper: str
    table: str
    row: str
    values: dict[str, float]
    """By metric."""
    protection: str = ""
    """Entry whose values stand beside the row; empty where no entry repeats it."""
    attack: str = ""
    """Attack of the suite under which they were measured."""
