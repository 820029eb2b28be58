"""Recipes: what decides the output of each stage of a cell. A stage's key is the digest of its recipe.

A field that is None is no part of the recipe. Fields that this version does not know are kept, so that the recipes of
another version's records keep their keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from cloakbench.schemas.suite import Sampling, Scalar


class _Content(BaseModel):
    """Part of a recipe."""

    model_config = ConfigDict(frozen=True, extra="allow", validate_by_name=True, allow_inf_nan=False)

    def content(self) -> dict[str, Any]:
        """Returns what is digested and recorded, as values that JSON can hold."""
        return self.model_dump(by_alias=True, exclude_none=True)


class StageRecipe(_Content):
    """The recipe of a stage, with the key of each stage whose output it continues from."""

    stage: str
    parents: dict[str, str] = {}

    @property
    def label(self) -> str:
        """Name of what the stage runs, as a table shows it; empty where the stage says all."""
        return ""


class ProtectionOrder(_Content):
    """The request to a protection, without the strength."""

    version: int
    """Version of the harness's code that requests and checks the images."""
    protection: str
    protection_version: str
    package: str
    """SHA-256 over the files of the distribution."""
    budget_255: int = Field(ge=0, le=255)
    images: list[str]
    """SHA-256 of the pixels of each original."""
    captions: list[str]
    class_word: str
    surrogate: str
    """SHA-256 of the model's weights."""
    perceptual: str
    """SHA-256 of the distance's weights."""
    seed: int
    dtype: str
    masks: list[str] | None = None
    """SHA-256 of each image's mask; None for a protection that does not need them."""
    class_images: int | None = None
    """Number of images of the class that it gets; None for a protection that does not need them."""
    sampling: Sampling | None = None
    """Settings by which these are sampled."""
    looked_into: dict[str, str] | None = None
    """SHA-256 of each further model that it gets, by alias."""


class MetricVersions(_Content):
    """Which metrics are computed, by which code and weights."""

    metrics: dict[str, int]
    """Version by name."""
    weights: dict[str, str] | None = None
    """SHA-256 of each file of weights that the package does not ship, by name."""


class CalibrateRecipe(MetricVersions, StageRecipe):
    """The search for the strength that meets a target of quality."""

    stage: Literal["calibrate"] = "calibrate"
    version: int
    orders: list[ProtectionOrder] = Field(validation_alias="asked", serialization_alias="asked")
    """One order per artist of the calibration images."""
    metric: str
    limits: dict[str, float]
    """Worst value allowed of each metric."""
    tolerance: float
    levels: int | None = None
    """8-bit levels of the strongest strength, for a search on the artist's own images; None: on a grid of 1/64."""

    @property
    def label(self) -> str:
        """Name of the protection."""
        return self.orders[0].protection if self.orders else ""


class ProtectRecipe(ProtectionOrder, StageRecipe):
    """The protected images of one artist."""

    stage: Literal["protect"] = "protect"
    strength: float | None = None
    """None for a calibrated cell: the strength follows from the parent `calibrate`."""

    @property
    def label(self) -> str:
        """Name of the protection."""
        return self.protection


class Cleaning(_Content):
    """One countermeasure."""

    version: int
    name: str
    parameters: dict[str, Scalar]
    seed: int
    """Of the first image."""
    models: dict[str, str] | None = None
    """SHA-256 of the weights of each model that it uses, by the parameter that names the model."""
    captions: list[str] | None = None
    """Of the images; None without models."""
    dtype: str | None = None
    """Of the models."""
    perceptual: str | None = None
    """SHA-256 of the weights of the distance that it uses."""
    package: str | None = None
    """SHA-256 over the files of the distribution that offers it; None for one of the harness."""
    others: list[str] | None = None
    """SHA-256 of the pixels of each clean image by others that it uses."""


class CleanRecipe(Cleaning, StageRecipe):
    """The images after one countermeasure."""

    stage: Literal["countermeasure"] = "countermeasure"

    @property
    def label(self) -> str:
        """Name of the countermeasure."""
        return self.name


class ChainRecipe(StageRecipe):
    """The images after several countermeasures, one after the other."""

    stage: Literal["countermeasure"] = "countermeasure"
    chain: list[Cleaning]

    @property
    def label(self) -> str:
        """Names of the countermeasures in their order."""
        return "+".join(part.name for part in self.chain)


class ClassImages(_Content):
    """Images of the class, which a mimic learns in addition to the artist's images."""

    word: str
    sampling: Sampling


class PersonaliseRecipe(StageRecipe):
    """What a mimic learns from an artist's images."""

    stage: Literal["personalise"] = "personalise"
    version: int
    name: str
    """Of the mimicry."""
    parameters: dict[str, Scalar]
    model: str
    """SHA-256 of the base model's weights."""
    captions: list[str]
    seed: int
    dtype: str
    class_images: ClassImages | None = Field(default=None, validation_alias="class", serialization_alias="class")
    """None without prior preservation."""

    @property
    def label(self) -> str:
        """Name of the mimicry."""
        return self.name


class ImitateRecipe(StageRecipe):
    """The images that a personalised model, or the bare base model, draws from prompts."""

    stage: Literal["generate"] = "generate"
    version: int
    sampling: Sampling
    token: str
    class_word: str
    model: str
    """SHA-256 of the base model's weights."""
    mimicry: str
    seed: int
    dtype: str
    captions: list[str] | None = None
    """Of the images that a package's mimicry takes; None for a mimicry of the harness."""
    package: str | None = None
    """SHA-256 over the files of the distribution that offers it; None for a mimicry of the harness."""

    @property
    def label(self) -> str:
        """Name of the mimicry."""
        return self.mimicry


class EditRecipe(StageRecipe):
    """Edits of the images themselves: each image under each prompt."""

    stage: Literal["generate"] = "generate"
    version: int
    name: str
    parameters: dict[str, Scalar]
    prompts: list[str]
    class_word: str
    model: str
    """SHA-256 of the base model's weights."""
    seed: int
    dtype: str
    masks: list[str] | None = None
    """SHA-256 of each mask; None for a stage without."""

    @property
    def label(self) -> str:
        """Name of the editing."""
        return self.name

    def on_clean_images(self, images: list[str]) -> dict[str, Any]:
        """Returns the recipe of the same edit of an artist's clean images, given by the SHA-256 of their pixels."""
        content = self.content()
        del content["parents"]
        return {**content, "images": images}


class MeasureRecipe(MetricVersions, StageRecipe):
    """The values of all metrics of a cell."""

    stage: Literal["measure"] = "measure"
    perceptual: str
    """SHA-256 of the embedded distance's weights."""
    judge: str | None = None
    """SHA-256 of the judge's weights; None where nothing imitates the style."""
    references: list[str] | None = None
    """SHA-256 of the pixels of each reference; None where nothing imitates the style."""
    classifier: str | None = None
    """SHA-256 of the weights of the base model, where a metric classifies by it."""


class Recipes(BaseModel):
    """The recipes of a cell, in the order in which its stages run; None for a stage that it does not have."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    calibrate: CalibrateRecipe | None = None
    protect: ProtectRecipe | None = None
    countermeasure: ChainRecipe | CleanRecipe | None = None
    personalise: PersonaliseRecipe | None = None
    generate: ImitateRecipe | EditRecipe
    measure: MeasureRecipe

    def stages(self) -> Iterator[StageRecipe]:
        """Yields the recipe of each stage of the cell."""
        for name in type(self).model_fields:
            recipe = getattr(self, name)
            if recipe is not None:
                yield recipe

    def content(self) -> dict[str, dict[str, Any]]:
        """Returns by stage what is digested and recorded."""
        return {recipe.stage: recipe.content() for recipe in self.stages()}
