"""What can attack: frozen facts and where the code is, readable without torch."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from cloakbench.errors import UserError, unknown
from cloakbench.schemas.suite import links

if TYPE_CHECKING:
    from cloakbench.schemas.suite import AttackSpec, Scalar, Suite

Kind = Literal["countermeasure", "mimicry", "editing"]


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


def _countermeasure(
    name: str, summary: str, limits: str, kind: str, *models: str, perceptual: bool = False, version: int = 1
) -> StageFacts:
    target = f"cloakbench.attacks.countermeasures.{name.replace('-', '_')}:{kind}"
    return StageFacts(name, "countermeasure", version, summary, limits, target, models, perceptual)


def _mimicry(name: str, module: str, kind: str, summary: str, limits: str, version: int = 1) -> StageFacts:
    return StageFacts(name, "mimicry", version, summary, limits, f"cloakbench.attacks.mimicry.{module}:{kind}")


TRANSFER_LIMITS = (
    "The model is one that the protection did not look into, but SD 1.x and 2.x have autoencoders of one family, and "
    "`mini-a` and `mini-b` one encoder: it tests what was aimed at the denoiser or the text encoder, and says little "
    "about SDXL and later models."
)
"""Of every attack on another model than the suite's surrogate."""
STAGES: tuple[StageFacts, ...] = (
    _countermeasure(
        "jpeg",
        "The mimic saves the images as JPEG, which drops fine detail.",
        "One quality for all images: stronger or repeated compression is not measured.",
        "Jpeg",
    ),
    _countermeasure(
        "blur",
        "The mimic blurs the images with a small Gaussian.",
        "One kernel for all images: a perturbation that is coarser passes, and nothing is sharpened again.",
        "Blur",
    ),
    _countermeasure(
        "noise",
        "The mimic adds Gaussian noise that drowns the perturbation.",
        "One sigma for all images, and nothing takes the noise off again: the mimic trains on noisy images.",
        "Noise",
    ),
    _countermeasure(
        "resize",
        "The mimic shrinks the images and enlarges them again.",
        "One scale and one filter for all images: a perturbation that is coarser passes.",
        "Resize",
    ),
    _countermeasure(
        "impress",
        "The mimic optimises the images until an autoencoder reconstructs them again (IMPRESS).",
        "The loss is about the autoencoder, not about the clean image, and falls where blur pleases the "
        "autoencoder too. Settings tuned at one size make shorter steps on larger images. `mini` stops after 20 "
        "steps while the loss still falls: on development artists more of them brought the latent no closer to "
        "the clean one.",
        "Impress",
        "model",
        perceptual=True,
    ),
    _countermeasure(
        "diffpure",
        "The mimic adds noise to the images' latents and has the diffusion model take it off again.",
        "DiffPure itself works on pixels. Here the encoder comes first, which protections of PhotoGuard's kind "
        "attack, so that the noise hides a latent that is already wrong. On the embedded model it leaves latents "
        "further from the clean ones: no threat there.",
        "DiffPure",
        "model",
        version=2,
    ),
    _countermeasure(
        "vae-trans",
        "The mimic encodes and decodes the images by an autoencoder of another family.",
        "One pass, nothing is optimised. It says little where both autoencoders are of one family, as those of "
        "SD 1.x and 2.x are, and TAESD, which is distilled from them.",
        "VaeTrans",
        "vae",
    ),
    _countermeasure(
        "noisy-upscale",
        "The mimic adds noise to the images and has a diffusion model clear them up under their captions.",
        "The images keep their size, where the authors train on the enlarged ones. Without an upscaler it is "
        "image-to-image, which on the embedded model leaves latents further from the clean ones: no threat there.",
        "NoisyUpscale",
        "model",
        "upscaler",
        version=2,
    ),
    _mimicry(
        "dreambooth",
        "dreambooth",
        "DreamBooth",
        "The mimic fine-tunes the whole denoiser on the images, with a rare token in the captions.",
        "One recipe for all artists: a mimic who tunes it to one of them may get more. On the embedded model "
        "images have 128 pixels, so that its numbers do not stand for Stable Diffusion at 512.",
        version=2,
    ),
    _mimicry(
        "lora",
        "lora",
        "LoRA",
        "The mimic trains low-rank adapters on the denoiser's attention and leaves the rest alone.",
        "Only attention is adapted, at one rank and for all artists by one recipe.",
        version=3,
    ),
    _mimicry(
        "textual-inversion",
        "inversion",
        "TextualInversion",
        "The mimic trains the embedding of one new word and leaves every weight alone.",
        "The model can only be steered to what it already draws. On clean development artists of the embedded "
        "model it learned less than `dreambooth`.",
        version=2,
    ),
    _mimicry(
        "dreamstyler",
        "inversion",
        "DreamStyler",
        "The mimic trains the embeddings of several new words, each in charge of one stretch of the denoising.",
        "The paper learns one image and has style guidance; here the words learn all of the artist's images, "
        "without it. Captions that are all alike, as those of a collection without captions, say nothing of what is "
        "in an image, as the paper's context-aware prompts do. On clean development artists of the embedded model it "
        "learned less than `dreambooth`.",
        version=2,
    ),
    StageFacts(
        "edit",
        "editing",
        2,
        "The mimic edits each image by image-to-image; the result is compared with the same edit of the clean image.",
        "Few prompts at one strength. The distance to the clean edit says that the result is another one, not "
        "that it is of no use to the mimic. Nothing is learned.",
        "cloakbench.attacks.editing.edit:Edit",
    ),
    StageFacts(
        "inpaint",
        "editing",
        2,
        "The mimic repaints the masked part of each image; the result is compared with the same of the clean image.",
        "Few prompts, and one mask an image, which the protection does not see. The kept part is compared too, "
        "as the autoencoder rebuilt it. Nothing is learned.",
        "cloakbench.attacks.editing.inpaint:Inpaint",
        needs_masks=True,
    ),
)


def find(kind: Kind, name: str) -> StageFacts:
    """Returns the facts of a stage; raises UserError with the nearest name for an unknown one."""
    known = {stage.name: stage for stage in STAGES if stage.kind == kind}
    if name in known:
        return known[name]
    raise unknown(f"a {kind}", name, known, "attacks")


def chain(countermeasure: str | None) -> list[StageFacts]:
    """Returns the countermeasures of an attack in their order: none, one, or those that `+` joins."""
    return [find("countermeasure", name) for name in links(countermeasure)]


def turns(chained: Sequence[StageFacts]) -> list[int]:
    """Returns how often each countermeasure of a chain came before in it: a repeated one draws further seeds."""
    return [chained[:n].count(facts) for n, facts in enumerate(chained)]


def imitation(spec: AttackSpec) -> StageFacts:
    """Returns the stage that imitates: a mimicry, or the editing."""
    edits = {stage.name for stage in STAGES if stage.kind == "editing"}
    return find("editing" if spec.mimicry in edits else "mimicry", spec.mimicry)


def is_ranked(spec: AttackSpec) -> bool:
    """Returns whether an attack is scored by imitation of the style; editing has columns of its own."""
    return imitation(spec).kind == "mimicry"


def stages(spec: AttackSpec) -> list[StageFacts]:
    """Returns the stages of an attack: its countermeasures, then what imitates."""
    return [*chain(spec.countermeasure), imitation(spec)]


def settings(stage: StageFacts, suite: Suite) -> dict[str, Scalar]:
    """Returns a suite's parameters of a stage."""
    tables = suite.countermeasures if stage.kind == "countermeasure" else suite.mimicry
    return dict(tables[stage.name])


def attack_models(spec: AttackSpec, suite: Suite) -> set[str]:
    """Returns the aliases of all models that an attack uses: the one it imitates with, those of its countermeasures."""
    chosen = [(stage, settings(stage, suite)) for stage in stages(spec)]
    named = {str(values[name]) for stage, values in chosen for name in stage.models if values.get(name)}
    return {spec.model, *named}


def models(suite: Suite) -> set[str]:
    """Returns the aliases of all models that a suite's surrogate and attacks use."""
    return {suite.surrogate}.union(*(attack_models(attack, suite) for attack in suite.attacks))


def check(suite: Suite) -> None:
    """Builds every stage of a suite once; raises UserError where one does not take its parameters."""
    for attack in suite.attacks:
        for stage in stages(attack):
            stage.build(settings(stage, suite))


def explain(spec: AttackSpec) -> str:
    """Returns in words what an attack of a suite does."""
    return " ".join(stage.summary for stage in stages(spec))


def limits(spec: AttackSpec, suite: Suite) -> str:
    """Returns in words what an attack of a suite cannot show."""
    transfer = [TRANSFER_LIMITS] if spec.model != suite.surrogate else []
    return " ".join([*(stage.limits for stage in stages(spec)), *transfer])


def versions(spec: AttackSpec) -> dict[str, int]:
    """Returns the version of each stage of an attack, by stage name."""
    return {stage.name: stage.version for stage in stages(spec)}


def parameters(spec: AttackSpec, suite: Suite) -> dict[str, dict[str, Scalar]]:
    """Returns the suite's settings of each stage of an attack, by stage name."""
    return {stage.name: settings(stage, suite) for stage in stages(spec)}
