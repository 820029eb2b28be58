"""Look-ups of stages and attacks: by name, of a suite, of one of its attacks. Readable without torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, get_args

from cloakbench.attacks.stage import Kind, Knowledge, StageFacts
from cloakbench.attacks.stages import STAGES as STAGES
from cloakbench.errors import unknown
from cloakbench.models import registry
from cloakbench.schemas.suite import links

if TYPE_CHECKING:
    from cloakbench.schemas.suite import AttackSpec, Scalar, Suite

TRANSFER_LIMITS = (
    "The model is one that the protection did not look into, but SD 1.x and 2.x have autoencoders of one family, and "
    "`mini-a` and `mini-b` one encoder: it tests what was aimed at the denoiser or the text encoder, and says little "
    "about SDXL and later models."
)
"""Limits of every attack on another model than the suite's surrogate."""
OTHER_AUTOENCODER_LIMITS = (
    "The model is one that the protection did not look into, with an autoencoder of another family: it says nothing "
    "about models whose autoencoder is the surrogate's."
)
"""Of an attack on a model whose autoencoder is of another family than the surrogate's."""
CLASS_IMAGES = 16
"""Images of the class for a protection that needs them, in suites whose mimics train on none."""


def find(kind: Kind, name: str) -> StageFacts:
    """Returns the facts of a stage; raises UserError with the nearest name for an unknown one."""
    stages_of_kind = _of_kind(kind)
    if name in stages_of_kind:
        return stages_of_kind[name]
    raise unknown(f"a {kind}", name, stages_of_kind, "attacks")


def _of_kind(kind: Kind) -> dict[str, StageFacts]:
    """Returns the stages of a kind by name."""
    return {stage.name: stage for stage in STAGES if stage.kind == kind}


def chain(countermeasure: str | None) -> list[StageFacts]:
    """Returns the countermeasures of an attack in their order: none, one, or those that `+` joins."""
    return [find("countermeasure", name) for name in links(countermeasure)]


def turns(chained: Sequence[StageFacts]) -> list[int]:
    """Returns how often each countermeasure of a chain came before in it: a repeated one draws further seeds."""
    counts: Counter[str] = Counter()
    repeats = []
    for facts in chained:
        repeats.append(counts[facts.name])
        counts[facts.name] += 1
    return repeats


def imitation(spec: AttackSpec) -> StageFacts:
    """Returns the stage that imitates: a mimicry, or the editing."""
    kind: Kind = "editing" if spec.mimicry in _of_kind("editing") else "mimicry"
    return find(kind, spec.mimicry)


def is_ranked(spec: AttackSpec) -> bool:
    """Returns whether an attack is scored by imitation of the style; editing has columns of its own."""
    return spec.has_own_mimicry or imitation(spec).kind == "mimicry"


def stages(spec: AttackSpec) -> list[StageFacts]:
    """Returns the stages of an attack: its countermeasures, then what imitates; those of packages are none."""
    if spec.has_own_mimicry:
        return []
    return [*chain(spec.countermeasure), imitation(spec)]


def settings(stage: StageFacts, suite: Suite, spec: AttackSpec | None = None) -> dict[str, Scalar]:
    """Returns a suite's parameters of a stage, with those that the attack `spec` changes in its mimicry's."""
    if stage.kind == "countermeasure":
        return dict(suite.countermeasures[stage.name])
    return {**suite.mimicry[stage.name], **(spec.recipe if spec else {})}


def attack_models(spec: AttackSpec, suite: Suite) -> set[str]:
    """Returns the aliases of all models that an attack uses: the one it imitates with, those of its countermeasures."""
    aliases = {spec.model}
    for stage in stages(spec):
        values = settings(stage, suite, spec)
        for name in stage.models:
            if values.get(name):
                aliases.add(str(values[name]))
    return aliases


def models(suite: Suite) -> set[str]:
    """Returns the aliases of all models that a suite's surrogate and attacks use."""
    aliases = {suite.surrogate}
    for attack in suite.attacks:
        aliases |= attack_models(attack, suite)
    return aliases


def class_images(suite: Suite) -> int:
    """Returns how many images of the class a protection gets that needs them.

    They are as many as the suite's mimics train on in addition to the artist's, or 16 where no mimic trains on any.
    """
    counts = [int(table.get("class_images", 0)) for table in suite.mimicry.values()]
    return max(counts, default=0) or CLASS_IMAGES


def check(suite: Suite) -> None:
    """Builds every stage of a suite once; raises UserError where one does not take its parameters."""
    for attack in suite.attacks:
        for stage in stages(attack):
            stage.build(settings(stage, suite, attack))


def explain(spec: AttackSpec) -> str:
    """Returns in words what an attack of a suite does."""
    return " ".join(stage.summary for stage in stages(spec))


def limits(spec: AttackSpec, suite: Suite) -> str:
    """Returns in words what an attack of a suite cannot show."""
    sentences = [stage.limits for stage in stages(spec)]
    if spec.model != suite.surrogate:
        families = {registry.find(alias).latent_family for alias in (spec.model, suite.surrogate)}
        sentences.append(TRANSFER_LIMITS if len(families) == 1 else OTHER_AUTOENCODER_LIMITS)
    return " ".join(sentences)


def versions(spec: AttackSpec) -> dict[str, int]:
    """Returns the version of each stage of an attack, by stage name."""
    return {stage.name: stage.version for stage in stages(spec)}


def parameters(spec: AttackSpec, suite: Suite) -> dict[str, dict[str, Scalar]]:
    """Returns the suite's settings of each stage of an attack, by stage name."""
    return {stage.name: settings(stage, suite, spec) for stage in stages(spec)}


def knowledge(spec: AttackSpec) -> Knowledge:
    """Returns what the mimic of an attack knows: the most that one of its stages needs."""
    levels = get_args(Knowledge)
    return max([stage.knowledge for stage in stages(spec)], key=levels.index)
