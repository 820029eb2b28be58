"""A stage of an attack: its facts, the knowledge that it needs, and where its code is; readable without torch."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from cloakbench.errors import UserError

if TYPE_CHECKING:
    from cloakbench.schemas.suite import Scalar

Kind = Literal["countermeasure", "mimicry", "editing"]
Knowledge = Literal["oblivious", "tool", "pairs", "clean images"]
"""What the mimic knows, the least first: nothing of a protection; which tool it was; pairs of images before and after
that tool; clean images of the artist."""


@dataclass(frozen=True, slots=True)
class StageFacts:
    """One stage of an attack; `version` is bumped by hand whenever its numbers can change."""

    name: str
    kind: Kind
    version: int
    summary: str
    limits: str
    """What its numbers cannot show."""
    target: str
    """`module:Class`, imported only when the stage runs."""
    models: tuple[str, ...] = ()
    """Parameters whose value is the alias of a model that the stage uses."""
    perceptual: bool = False
    """Whether it uses the suite's perceptual distance."""
    needs_masks: bool = False
    """Whether it needs a mask for each image, which only some collections have."""
    knowledge: Knowledge = "oblivious"
    needs_others: bool = False
    """Whether it uses clean images by other artists."""
    whole_set: bool = False
    """Whether an image's result depends on the artist's other images."""
    needs_one_text_encoder: bool = False
    """Whether it works only on models with one text encoder, which Stable Diffusion XL is not."""

    def build(self, parameters: Mapping[str, Scalar]) -> Any:
        """Returns the stage with its parameters; raises UserError where it does not take one of them."""
        module, _, name = self.target.partition(":")
        try:
            return getattr(importlib.import_module(module), name)(**parameters)
        except (TypeError, ValueError) as error:
            raise UserError(
                f"{self.kind} {self.name!r} does not take {dict(parameters)}: {error}",
                "Correct its table in the suite file.",
            ) from error


def countermeasure(
    name: str,
    summary: str,
    limits: str,
    kind: str,
    *models: str,
    perceptual: bool = False,
    version: int = 1,
    module: str = "",
    knowledge: Knowledge = "oblivious",
    needs_others: bool = False,
    whole_set: bool = False,
) -> StageFacts:
    """Returns a countermeasure, whose class `kind` is in `module`, by default of its name.

    `models` are the parameters whose values are aliases of models.
    """
    target = f"cloakbench.attacks.countermeasures.{module or name.replace('-', '_')}:{kind}"
    return StageFacts(
        name,
        "countermeasure",
        version,
        summary,
        limits,
        target,
        models,
        perceptual,
        knowledge=knowledge,
        needs_others=needs_others,
        whole_set=whole_set,
    )


def mimicry(
    name: str,
    module: str,
    kind: str,
    summary: str,
    limits: str,
    version: int = 1,
    needs_one_text_encoder: bool = False,
) -> StageFacts:
    """Returns a mimicry whose class is `kind` in a module of `attacks.mimicry`."""
    target = f"cloakbench.attacks.mimicry.{module}:{kind}"
    return StageFacts(name, "mimicry", version, summary, limits, target, needs_one_text_encoder=needs_one_text_encoder)
