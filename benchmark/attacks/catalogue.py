"""What can attack: frozen facts and where the code is, readable without torch."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from benchmark.errors import UserError, unknown

if TYPE_CHECKING:
    from benchmark.suites.schema import AttackSpec, Scalar, Suite


@dataclass(frozen=True, slots=True)
class StageFacts:
    """One countermeasure or mimicry; `version` is bumped by hand whenever its numbers can change."""

    name: str
    kind: Literal["countermeasure", "mimicry"]
    version: int
    summary: str
    target: str
    """`module:Class`, imported only when the stage runs."""

    def build(self, parameters: dict[str, Scalar]) -> Any:
        """Returns the stage with its parameters; raises UserError where it does not take one of them."""
        module, _, name = self.target.partition(":")
        try:
            return getattr(importlib.import_module(module), name)(**parameters)
        except (TypeError, ValueError) as error:
            raise UserError(
                f"{self.kind} {self.name!r} does not take {parameters}: {error}", "Correct its table in the suite file."
            ) from error


_HERE = "benchmark.attacks"
STAGES: tuple[StageFacts, ...] = (
    StageFacts(
        "jpeg",
        "countermeasure",
        1,
        "The mimic saves the images as JPEG, which drops fine detail.",
        f"{_HERE}.countermeasures.jpeg:Jpeg",
    ),
    StageFacts(
        "blur",
        "countermeasure",
        1,
        "The mimic blurs the images with a small Gaussian.",
        f"{_HERE}.countermeasures.blur:Blur",
    ),
    StageFacts(
        "noise",
        "countermeasure",
        1,
        "The mimic adds Gaussian noise that drowns the perturbation.",
        f"{_HERE}.countermeasures.noise:Noise",
    ),
    StageFacts(
        "dreambooth",
        "mimicry",
        1,
        "The mimic fine-tunes the whole denoiser on the images, with a rare token in the captions.",
        f"{_HERE}.mimicry.dreambooth:DreamBooth",
    ),
    StageFacts(
        "lora",
        "mimicry",
        1,
        "The mimic trains low-rank adapters on the denoiser's attention and leaves the rest alone.",
        f"{_HERE}.mimicry.lora:LoRA",
    ),
)


def find(kind: str, name: str) -> StageFacts:
    """Returns the facts of a stage; raises UserError with the nearest name for an unknown one."""
    known = {stage.name: stage for stage in STAGES if stage.kind == kind}
    if name in known:
        return known[name]
    raise unknown(f"a {kind}", name, known, "attacks")


def check(suite: Suite) -> None:
    """Builds every stage of a suite once; raises UserError where one does not take its parameters."""
    for attack in suite.attacks:
        find("mimicry", attack.mimicry).build(suite.mimicry[attack.mimicry])
        if attack.countermeasure is not None:
            find("countermeasure", attack.countermeasure).build(suite.countermeasures[attack.countermeasure])


def explain(spec: AttackSpec) -> str:
    """Returns in words what an attack of a suite does."""
    parts = [find("mimicry", spec.mimicry).summary]
    if spec.countermeasure is not None:
        parts.insert(0, find("countermeasure", spec.countermeasure).summary)
    return " ".join(parts)


def versions(spec: AttackSpec) -> dict[str, int]:
    """Returns the version of each stage of an attack, by stage name."""
    stages = [find("mimicry", spec.mimicry)]
    if spec.countermeasure is not None:
        stages.append(find("countermeasure", spec.countermeasure))
    return {stage.name: stage.version for stage in stages}


def parameters(spec: AttackSpec, suite: Suite) -> dict[str, dict[str, Scalar]]:
    """Returns the suite's settings of each stage of an attack, by stage name."""
    found = {spec.mimicry: dict(suite.mimicry[spec.mimicry])}
    if spec.countermeasure is not None:
        found[spec.countermeasure] = dict(suite.countermeasures[spec.countermeasure])
    return found
