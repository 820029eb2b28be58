"""The stages of attacks: each declared once, with its facts and its class. Readable without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, get_args

from cloakbench.attacks.stage import Kind, Knowledge, StageFacts, countermeasure, mimicry
from cloakbench.errors import unknown
from cloakbench.schemas.suite import links

if TYPE_CHECKING:
    from cloakbench.schemas.suite import AttackSpec, Scalar, Suite

TRANSFER_LIMITS = (
    "The model is one that the protection did not look into, but SD 1.x and 2.x have autoencoders of one family, and "
    "`mini-a` and `mini-b` one encoder: it tests what was aimed at the denoiser or the text encoder, and says little "
    "about SDXL and later models."
)
"""Of every attack on another model than the suite's surrogate."""
STAGES: tuple[StageFacts, ...] = (
    countermeasure(
        "jpeg",
        "The mimic saves the images as JPEG, which drops fine detail.",
        "One quality for all images: stronger or repeated compression is not measured.",
        "Jpeg",
    ),
    countermeasure(
        "blur",
        "The mimic blurs the images with a small Gaussian.",
        "One kernel for all images: a perturbation that is coarser passes, and nothing is sharpened again.",
        "Blur",
    ),
    countermeasure(
        "noise",
        "The mimic adds Gaussian noise that drowns the perturbation.",
        "One sigma for all images, and nothing takes the noise off again: the mimic trains on noisy images.",
        "Noise",
    ),
    countermeasure(
        "resize",
        "The mimic shrinks the images and enlarges them again.",
        "One scale and one filter for all images: a perturbation that is coarser passes.",
        "Resize",
    ),
    countermeasure(
        "adverse-cleaner",
        "The mimic runs the filter that plug-ins of image generators offer against protections: 64 bilateral filters, "
        "then 4 guided ones.",
        "It takes the fine texture of a painting with it: look at its damage to clean images beside what it undoes.",
        "AdverseCleaner",
    ),
    countermeasure(
        "median",
        "The mimic gives each value the median of its surroundings.",
        "One window for all images: a perturbation that is coarser passes.",
        "Median",
    ),
    countermeasure(
        "crop",
        "The mimic cuts a margin off and enlarges the rest.",
        "One margin for all images. The picture loses its border, and the mimic another framing.",
        "Crop",
    ),
    countermeasure(
        "screenshot",
        "The mimic takes a screenshot: smaller, with slightly other colours, saved as JPEG, and enlarged again.",
        "A simulation of one screen. Real ones differ in scaling, colour management and format.",
        "Screenshot",
    ),
    countermeasure(
        "web",
        "The mimic takes the images from a gallery that shrinks and compresses them.",
        "One size and one format. Galleries differ, and some sharpen or convert colours.",
        "Web",
    ),
    countermeasure(
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
    countermeasure(
        "diffpure",
        "The mimic adds noise to the images' latents and has the diffusion model take it off again.",
        "DiffPure itself works on pixels. Here the encoder comes first, which protections of PhotoGuard's kind "
        "attack, so that the noise hides a latent that is already wrong. On the embedded model it leaves latents "
        "further from the clean ones: no threat there.",
        "DiffPure",
        "model",
        version=2,
    ),
    countermeasure(
        "vae-trans",
        "The mimic encodes and decodes the images by an autoencoder of another family.",
        "One pass, nothing is optimised. It says little where both autoencoders are of one family, as those of "
        "SD 1.x and 2.x are, and TAESD, which is distilled from them.",
        "VaeTrans",
        "vae",
    ),
    countermeasure(
        "noisy-upscale",
        "The mimic adds noise to the images and has a diffusion model clear them up under their captions.",
        "The images keep their size, where the authors train on the enlarged ones. Without an upscaler it is "
        "image-to-image, which on the embedded model leaves latents further from the clean ones: no threat there.",
        "NoisyUpscale",
        "model",
        "upscaler",
        version=2,
    ),
    mimicry(
        "dreambooth",
        "dreambooth",
        "DreamBooth",
        "The mimic fine-tunes the whole denoiser on the images, with a rare token in the captions.",
        "One recipe for all artists: a mimic who tunes it to one of them may get more. On the embedded model "
        "images have 128 pixels, so that its numbers do not stand for Stable Diffusion at 512.",
        version=2,
    ),
    mimicry(
        "lora",
        "lora",
        "LoRA",
        "The mimic trains low-rank adapters on the denoiser's attention and leaves the rest alone.",
        "Only attention is adapted, at one rank and for all artists by one recipe.",
        version=3,
    ),
    mimicry(
        "textual-inversion",
        "inversion",
        "TextualInversion",
        "The mimic trains the embedding of one new word and leaves every weight alone.",
        "The model can only be steered to what it already draws. On clean development artists of the embedded "
        "model it learned less than `dreambooth`.",
        version=2,
    ),
    mimicry(
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
    stages_of_kind = {stage.name: stage for stage in STAGES if stage.kind == kind}
    if name in stages_of_kind:
        return stages_of_kind[name]
    raise unknown(f"a {kind}", name, stages_of_kind, "attacks")


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
    aliases = {spec.model}
    for stage in stages(spec):
        values = settings(stage, suite)
        aliases |= {str(values[name]) for name in stage.models if values.get(name)}
    return aliases


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


def knowledge(spec: AttackSpec) -> Knowledge:
    """Returns what the mimic of an attack knows: the most that one of its stages needs."""
    return max((stage.knowledge for stage in stages(spec)), key=get_args(Knowledge).index)
