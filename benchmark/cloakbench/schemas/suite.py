"""The suite: a frozen, versioned protocol, read from TOML with errors that say where and what."""

from __future__ import annotations

import string
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from cloakbench.schemas.suite_tables import CallLimits, Matching, PublishedFigure

Scalar = bool | int | float | str


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


MAX_GENERATED = 10_000
"""The largest number of images that a suite asks a mimic for: a record holds as many values of a metric."""


def _fillable(text: str, fields: set[str]) -> str:
    """Returns `text`; raises ValueError where it names another placeholder than `fields`, or how to format one.

    A format could ask for a text of any length.
    """
    for _, field, layout, conversion in string.Formatter().parse(text):
        if field is not None and (field not in fields or layout or conversion):
            raise ValueError(f"expected no placeholder but {sorted(fields)} in {text!r}")
    return text


def links(countermeasure: str | None) -> list[str]:
    """Returns the countermeasures that `+` joins, in their order; `noise+impress` is a chain of two."""
    return countermeasure.split("+") if countermeasure else []


class AttackSpec(_Frozen):
    """One attack: what cleans the image, what learns from it, on which base model."""

    name: str
    countermeasure: str | None = None
    mimicry: str
    model: str
    recipe: dict[str, Scalar] = {}
    """Values of the mimicry's table that are others for this attack, whose model may learn more slowly."""

    @property
    def countermeasures(self) -> list[str]:
        """The countermeasures in their order."""
        return links(self.countermeasure)

    @property
    def has_countermeasure(self) -> bool:
        """Whether something cleans the protected images first."""
        return self.countermeasure is not None

    @property
    def has_own_mimicry(self) -> bool:
        """Whether a package generates the images in place of a mimicry of the harness."""
        return False


class Seeds(_Frozen):
    """How many attack seeds each arm gets; seed 0 is shared by all, so that arms pair."""

    protected: int = Field(ge=1)
    controls: int = Field(ge=1)
    """For `identity`, `placebo` and `floor`."""


class Diffusing(_Frozen):
    """How a diffusion model is run: steps, classifier-free guidance, named scheduler."""

    steps: int = Field(ge=1)
    guidance: float = Field(ge=1)
    scheduler: Literal["dpm++", "ddim"] = "dpm++"


class Sampling(Diffusing):
    """How the mimic generates: prompts are filled with the learned token."""

    prompts: list[str] = Field(min_length=1)
    per_prompt: int = Field(ge=1)

    @model_validator(mode="after")
    def _bounded(self) -> Sampling:
        count = len(self.prompts) * self.per_prompt
        if count > MAX_GENERATED:
            raise ValueError(f"expected at most {MAX_GENERATED} generated images, got {count}")
        return self

    @field_validator("prompts")
    @classmethod
    def _prompts(cls, prompts: list[str]) -> list[str]:
        return [_fillable(prompt, {"token", "class_word"}) for prompt in prompts]


class Metrics(_Frozen):
    """Names from the metric catalogue; `primary` is the distance D that scores are made of."""

    primary: str
    quality: list[str]
    generation: list[str]
    sets: list[str]
    edit: list[str] = []
    """Of each edited image against the same edit of the clean image."""

    @property
    def every(self) -> list[str]:
        """All named metrics, each once: the primary first, then by level."""
        return list(dict.fromkeys([self.primary, *self.quality, *self.generation, *self.sets, *self.edit]))


class Suite(_Frozen):
    """A suite as its TOML file says it; nothing in it has a hidden default that changes a number."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    version: int = Field(ge=1)
    title: str
    description: str
    banner: str = ""
    demonstration: bool = False
    dataset: Literal["mini", "folder", "manifest"]
    """`manifest`: a folder that `cloakbench dataset freeze` wrote by the rule `selection`."""
    selection: str = ""
    """Which file of `datasets/` says how the images of a manifest were chosen."""
    artists: list[str] = []
    """Empty for `folder`: one per sub-folder of the images."""
    images_per_artist: int = Field(ge=1)
    class_word: str
    token: str
    """Rare token that stands for the artist in captions."""
    caption: str
    """Training caption; `{token}` is filled in."""
    surrogate: str
    """Model alias that protections may look into."""
    budget_255: int = Field(ge=1, le=255)
    strengths: list[float] = Field(min_length=1)
    seeds: Seeds
    attacks: list[AttackSpec] = Field(min_length=1)
    packages: list[str] = []
    """Attacks of installed packages that every run of the suite takes along, beside its scores, as `--attack` does."""
    countermeasures: dict[str, dict[str, Scalar]] = {}
    mimicry: dict[str, dict[str, Scalar]]
    sampling: Sampling
    edit_prompts: list[str] = []
    """Prompts of the attack `edit`; every image is edited under each."""
    metrics: Metrics
    matching: Matching | None = None
    """None: entries are compared at equal strengths only."""
    random_noise_band: tuple[float, float] | None = None
    """Lowest and highest P that random noise at full strength may have in a gold run."""
    equivalence_margin: float = Field(default=0.1, gt=0)
    """Differences of P under this count as none; `scores/sensitivity.py` of the leaderboards says why it is 0.1."""
    published: list[PublishedFigure] = []
    """What papers report of the experiment that the suite repeats."""
    rank_by: str
    """Attack whose P at the middle strength carries the rank, or `worst-case`: at the middle quality target."""
    worst_case: list[str] = []
    """Attacks of the worst case beside the headline's: those with the strongest countermeasures, chosen on development
    artists before the suite's own are measured. Empty: all that differ from the headline's in the countermeasure."""
    weaker_against: Literal["all", "headline"] = "all"
    """Which attacks run at the given strengths of an entry that is calibrated, too. `headline`: the curve alone."""
    protect_seed: int = 0
    dtype: Literal["float32", "bfloat16"] = "float32"
    perceptual: Literal["mini-lpips", "lpips-vgg", "lpips-alex"] = "mini-lpips"
    """The distance that protections get with the surrogate, and that IMPRESS keeps within its budget."""
    gpu_gib: float | None = Field(default=None, gt=0)
    """Memory of the GPU that the stages need; None: a CPU is enough."""
    limits: CallLimits = CallLimits()
    threads: int | None = Field(default=None, ge=1)
    """Threads of a worker on a CPU: part of the environment class."""

    @field_validator("edit_prompts")
    @classmethod
    def _edit_prompts(cls, prompts: list[str]) -> list[str]:
        return [_fillable(prompt, {"class_word"}) for prompt in prompts]

    @field_validator("caption")
    @classmethod
    def _caption(cls, caption: str) -> str:
        return _fillable(caption, {"token"})

    @model_validator(mode="after")
    def _consistent(self) -> Suite:
        for strength in self.strengths:
            if not 0 < strength <= 1:
                raise ValueError(f"strengths must lie in (0, 1], got {strength}")
        names = [attack.name for attack in self.attacks]
        if len(set(names)) != len(names):
            raise ValueError(f"attack names must be unique, got {names}")
        if self.rank_by not in {*names, "worst-case"}:
            raise ValueError(f"rank_by must be worst-case or one of {', '.join(names)}, got {self.rank_by!r}")
        if set(self.worst_case) - set(names):
            raise ValueError(f"worst_case must name attacks of the suite ({', '.join(names)}), got {self.worst_case}")
        if self.dataset != "folder" and (not self.artists or len(set(self.artists)) != len(self.artists)):
            raise ValueError(f"artists must be unique, at least one for dataset {self.dataset}, got {self.artists}")
        if (self.dataset == "manifest") != bool(self.selection):
            raise ValueError(f"selection belongs to the dataset manifest, and only to it, got {self.selection!r}")
        return self

    @model_validator(mode="after")
    def _has_tables(self) -> Suite:
        for attack in self.attacks:
            if attack.mimicry not in self.mimicry:
                raise ValueError(f"attack {attack.name!r} needs a table [mimicry.{attack.mimicry}]")
            for name in attack.countermeasures:
                if name not in self.countermeasures:
                    raise ValueError(f"attack {attack.name!r} needs a table [countermeasures.{name}]")
        return self

    @model_validator(mode="after")
    def _matches(self) -> Suite:
        if self.matching is None:
            return self
        unmeasured = [name for name in self.matching.limited if name not in self.metrics.quality]
        if unmeasured:
            measured, others = ", ".join(self.metrics.quality), ", ".join(unmeasured)
            raise ValueError(f"matching needs metrics of metrics.quality ({measured}), got {others}")
        shared = sorted(set(self.matching.artists) & set(self.artists))
        if shared:
            raise ValueError(f"matching.artists must not be among the suite's artists, got {', '.join(shared)}")
        return self

    @property
    def collected(self) -> list[str]:
        """The artists whose images are needed: those of the suite, and those whose images calibrate strengths."""
        return [*self.artists, *(self.matching.artists if self.matching else [])]

    @property
    def generated_prompts(self) -> list[str]:
        """The prompts of a mimic: one text per image that it generates."""
        prompts: list[str] = []
        for text in self.sampling.prompts:
            prompts += [text.format(token=self.token, class_word=self.class_word)] * self.sampling.per_prompt
        return prompts

    @property
    def calibrated(self) -> list[float]:
        """The targets of quality to which a run calibrates strengths; none without `matching`."""
        return self.matching.calibrated if self.matching else []

    def has_attack(self, name: str) -> bool:
        """Returns whether the suite has an attack called `name`."""
        return any(attack.name == name for attack in self.attacks)

    def attack(self, name: str) -> AttackSpec:
        """Returns the attack called `name`; raises KeyError where the suite has none."""
        return {attack.name: attack for attack in self.attacks}[name]


class MetricFacts(_Frozen):
    """What a metric is: shown on pages, never guessed from its name."""

    name: str
    version: int = 1
    level: Literal["quality", "generation", "set", "edit"]
    """Per protected image, per generated image, one value for all generations of a cell, or per edited image."""
    unit: str
    low: float | None = 0.0
    high: float | None = None
    higher_is_better: bool
    """Better for the artist: a less visible protection, or a mimic that fails more."""
    summary: str
    needs_reference: bool = True
    """Whether other images are needed to compare with: originals, the artist's references, clean edits."""
    weights: tuple[str, ...] = ()
    """Names of the weight files that it needs, as in `metrics/weights.py`; none for plain formulas."""


class AttackExplained(_Frozen):
    """One attack with its settings and what it does, in words."""

    name: str
    summary: str
    countermeasure: str | None
    mimicry: str
    model: str
    parameters: dict[str, dict[str, Scalar]]
    """Settings by stage name."""
    ranked: bool = True
    """Whether scores are made of it; editing has columns of its own."""
    limits: str = ""
    """What it cannot show; stores of earlier runs have none."""


class SuiteFacts(_Frozen):
    """What a run copies into its store, so that pages explain themselves from records alone."""

    suite: Suite
    attacks: list[AttackExplained]
    metrics: list[MetricFacts]

    @property
    def ranked(self) -> list[AttackSpec]:
        """The attacks that imitate the style: scores are made of them."""
        beside = {attack.name for attack in self.attacks if not attack.ranked}
        return [attack for attack in self.suite.attacks if attack.name not in beside]
