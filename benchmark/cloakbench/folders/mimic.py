"""Imitating a user's own images: a model learns them and generates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cloakbench import progress
from cloakbench.attacks import catalogue
from cloakbench.errors import UserError
from cloakbench.folders import images as folder_images
from cloakbench.folders import outputs, settings
from cloakbench.images import Pixels, encode, fit_square, to_tensor
from cloakbench.models import registry
from cloakbench.schemas.suite import Suite

ADAPTER = "adapter.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class MimicOptions:
    """How images are imitated; raises UserError for a count below 1.

    Attributes:
        suite: Name of the suite whose settings are used, or path to its TOML file; by default the one for the model's
            family.
        model: Alias or folder of the model that learns; by default the surrogate of the suite.
        count: Images per prompt.
        seed: Seed of the training and of the first image.
    """

    suite: str | None = None
    model: str | None = None
    count: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        if self.count < 1:
            raise UserError(
                f"expected --count of 1 or more, got {self.count}", "It is the number of images per prompt."
            )


@dataclass(frozen=True, slots=True)
class Generated:
    """What a mimicry generated: one image per text, and the adapter where the mimicry has one."""

    texts: tuple[str, ...]
    images: tuple[Pixels, ...]
    adapter: bytes | None


@dataclass(frozen=True, slots=True)
class Imitation:
    """One written file with its prompt; the prompt of the adapter is empty."""

    file: str
    prompt: str


def mimic_images(name: str, pixels: Sequence[Pixels], prompts: Sequence[str], options: MimicOptions) -> Generated:
    """Fine-tunes a model on images and generates from it.

    Args:
        name: The mimicry, such as `dreambooth` or `lora`.
        pixels: Images `[H, W, 3]`; their central squares are learned.
        prompts: What to generate; `{token}` stands for the learned subject, `{class_word}` for what the images are.
        options: Suite, model, count and seed.

    Returns:
        `options.count` images per prompt, in the order of the prompts.

    Raises:
        UserError: A name is unknown, the suite has no settings for the mimicry, or a prompt has another placeholder.
    """
    suite = settings.choose_suite(options.suite, options.model)
    model = options.model or suite.surrogate
    texts = _texts(name, prompts, suite, options.count)
    from cloakbench.attacks.mimicry import sampling
    from cloakbench.attacks.mimicry.personalised import TrainingSet
    from cloakbench.models import loader

    device = loader.default_device()
    base = loader.load(model, device, settings.precision(suite, device))
    size = registry.find(model).image_size
    captions = [suite.caption.format(token=suite.token)] * len(pixels)
    squares = to_tensor(fit_square(whole, size) for whole in pixels)
    data = TrainingSet(squares, captions, suite.token, suite.class_word, suite.sampling)
    facts = catalogue.find("mimicry", name)
    stage = facts.build(catalogue.settings(facts, suite))
    mimic = settings.within_memory(lambda: stage.personalise(base, data, options.seed))
    seeds = range(options.seed, options.seed + len(texts))
    generated = settings.within_memory(lambda: sampling.generate(mimic, texts, seeds, suite.sampling))
    return Generated(tuple(texts), tuple(generated), mimic.adapter() if mimic.adapters else None)


def mimic_folder(
    name: str, source: Path, target: Path, prompts: Sequence[str], options: MimicOptions
) -> list[Imitation]:
    """Learns the images of a folder and writes what the model then generates, and its adapter where there is one.

    Args:
        name: The mimicry.
        source: Folder of images.
        target: Folder for the PNGs `000.png`, `001.png`, ... and `adapter.safetensors`.
        prompts: What to generate.
        options: Suite, model, count and seed.

    Returns:
        One row per file.

    Raises:
        UserError: A name, a prompt, an image or a folder is wrong; nothing is trained.
    """
    folder_images.check_source(source, target)
    texts = _texts(name, prompts, settings.choose_suite(options.suite, options.model), options.count)
    originals = folder_images.read(source)
    progress.say(f"{name} learns {len(originals)} images, then generates {len(texts)}")
    names = [f"{number:03d}.png" for number in range(len(texts))]
    outputs.check(target, [*names, ADAPTER], "mimic")
    generated = mimic_images(name, list(originals.values()), prompts, options)
    pngs = [encode(pixels) for pixels in generated.images]
    rows = [Imitation(file, text) for file, text in zip(names, generated.texts, strict=True)]
    files = dict(zip(names, pngs, strict=True))
    if generated.adapter is not None:
        files[ADAPTER] = generated.adapter
        rows.append(Imitation(ADAPTER, ""))
    outputs.write(target, files, "mimic")
    return rows


def _texts(name: str, prompts: Sequence[str], suite: Suite, count: int) -> list[str]:
    """Returns the text of each image; raises UserError for an unknown mimicry and for a prompt with other braces."""
    catalogue.find("mimicry", name)
    if name not in suite.mimicry:
        choices = ", ".join(sorted(suite.mimicry))
        raise UserError(
            f"expected a mimicry that suite {suite.name!r} has settings for ({choices}), got {name!r}",
            "Choose another.",
        )
    try:
        texts = [text.format(token=suite.token, class_word=suite.class_word) for text in prompts]
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        raise UserError(
            f"expected no placeholder but {{token}} and {{class_word}} in --prompt, got {list(prompts)}",
            "Write {{ and }} for braces.",
        ) from error
    repeated = []
    for text in texts:
        repeated += [text] * count
    return repeated
