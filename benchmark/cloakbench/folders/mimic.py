"""Imitating a user's own images: a model learns them and generates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cloakbench import progress
from cloakbench.attacks import catalogue
from cloakbench.errors import UserError
from cloakbench.folders import images as folder_images
from cloakbench.folders import outputs, settings
from cloakbench.images import Pixels, encode, fit_square, to_tensor
from cloakbench.models import registry
from cloakbench.schemas.suite import Sampling, Suite

if TYPE_CHECKING:
    from cloakbench.attacks.mimicry.personalised import Personalised

ADAPTER = "adapter.safetensors"
AT_ONCE = 4
"""Images that are generated together and then written. Each has a seed of its own: others change only its rounding."""


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
class Imitation:
    """One written file with its prompt; the prompt of the adapter is empty."""

    file: str
    prompt: str


def mimic_folder(
    name: str, source: Path, target: Path, prompts: Sequence[str], options: MimicOptions
) -> list[Imitation]:
    """Learns the images of a folder and writes what the model then generates, and its adapter where there is one.

    The adapter is written after the training, and each image after its batch.

    Args:
        name: The mimicry, such as `dreambooth` or `lora`.
        source: Folder of images; their central squares are learned.
        target: Folder for the PNGs `000.png`, `001.png`, ... and `adapter.safetensors`.
        prompts: What to generate; `{token}` stands for the learned subject, `{class_word}` for what the images are.
        options: Suite, model, count and seed.

    Returns:
        One row per file: `options.count` images per prompt, in the order of the prompts, then the adapter.

    Raises:
        UserError: A name, a prompt, an image or a folder is wrong, or the suite has no settings for the mimicry.
            Nothing is trained then.
    """
    folder_images.check_source(source, target)
    suite = settings.choose_suite(options.suite, options.model)
    texts = _texts(name, prompts, suite, options.count)
    originals = folder_images.read(source)
    progress.say(f"{name} learns {len(originals)} images, then generates {len(texts)}")
    names = [f"{number:03d}.png" for number in range(len(texts))]
    rows = [Imitation(file, text) for file, text in zip(names, texts, strict=True)]
    with outputs.opened(target, [*names, ADAPTER], "mimic") as output:
        mimic = _learned(name, list(originals.values()), texts, suite, options)
        if mimic.adapters:
            output.write(ADAPTER, mimic.adapter())
            rows.append(Imitation(ADAPTER, ""))
        seeds = range(options.seed, options.seed + len(texts))
        for file, pixels in zip(names, _generated(mimic, texts, seeds, suite.sampling), strict=True):
            output.write(file, encode(pixels))
    return rows


def _learned(
    name: str, pixels: Sequence[Pixels], texts: Sequence[str], suite: Suite, options: MimicOptions
) -> Personalised:
    """Returns a model that has learned images `[H, W, 3]`; raises UserError for a text whose token it cuts off."""
    from cloakbench.attacks.mimicry.personalised import MimicryStage, TrainingSet, require_token
    from cloakbench.models import loader

    model, device = options.model or suite.surrogate, loader.default_device()
    base = loader.load(model, device, settings.precision(suite, device))
    require_token(base, texts, suite.token)
    size = registry.find(model).image_size
    captions = [suite.caption.format(token=suite.token)] * len(pixels)
    squares = to_tensor(fit_square(whole, size) for whole in pixels)
    data = TrainingSet(squares, captions, suite.token, suite.class_word, suite.sampling)
    facts = catalogue.find("mimicry", name)
    stage: MimicryStage = facts.build(catalogue.settings(facts, suite))
    return settings.within_memory(partial(stage.personalise, base, data, options.seed))


def _generated(
    mimic: Personalised, texts: Sequence[str], seeds: Sequence[int], sampling_settings: Sampling
) -> Iterator[Pixels]:
    """Yields an image for each text and seed, a few at a time."""
    from cloakbench.attacks.mimicry import sampling

    starts = range(0, len(texts), AT_ONCE)
    for start in progress.track(starts, len(starts), f"batches of {AT_ONCE} images"):
        part = slice(start, start + AT_ONCE)
        yield from settings.within_memory(
            partial(sampling.generate, mimic, texts[part], seeds[part], sampling_settings)
        )


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
