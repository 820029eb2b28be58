"""What a mimic makes of a user's own images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cloakbench import images
from cloakbench.attacks import catalogue
from cloakbench.attacks.mimicry import sampling
from cloakbench.attacks.mimicry.personalised import TrainingSet
from cloakbench.errors import UserError
from cloakbench.folders import images as folders
from cloakbench.models import loader, registry
from cloakbench.schemas.suite import Suite
from cloakbench.suites import load as suites

ADAPTER = "adapter.safetensors"


@dataclass(frozen=True, slots=True)
class Imitation:
    """One file that the mimicry made, with the prompt behind it (empty for the adapter)."""

    file: str
    prompt: str


def mimic_folder(
    name: str, source: Path, target: Path, prompts: Sequence[str], suite: str, model: str, count: int, seed: int
) -> list[Imitation]:
    """Learns the images of `source` with the settings of `suite` and writes `count` generations of each prompt.

    `{token}` in a prompt is what the model has learned to call them. Adapters or embeddings, where the mimicry has
    some, lie beside the images. Raises UserError for an unknown name or a prompt that can't be filled in.
    """
    chosen = suites.load(suite)
    facts = catalogue.find("mimicry", name)
    if name not in chosen.mimicry:
        known = ", ".join(sorted(chosen.mimicry))
        raise UserError(
            f"expected a mimicry that suite {suite!r} has settings for ({known}), got {name!r}", "Choose another."
        )
    texts = [text for text in _filled(prompts, chosen) for _ in range(count)]
    found = folders.read(source, target)
    base = loader.load(model, loader.default_device())
    size = registry.find(model).image_size
    pixels = images.to_tensor(images.fit_square(p, size) for p in found.values())
    captions = [chosen.caption.format(token=chosen.token)] * len(found)
    data = TrainingSet(pixels, captions, chosen.token, chosen.class_word, chosen.sampling)
    mimic = facts.build(catalogue.settings(facts, chosen)).personalise(base, data, seed)
    made = sampling.generate(mimic, texts, range(seed, seed + len(texts)), chosen.sampling)
    files = {f"{n:03d}.png": images.encode(pixels) for n, pixels in enumerate(made)}
    adapter = {ADAPTER: mimic.adapter()} if mimic.kept else {}
    folders.write(target, files | adapter)
    listed = [Imitation(file, text) for file, text in zip(files, texts, strict=True)]
    return [*listed, *(Imitation(file, "") for file in adapter)]


def _filled(prompts: Sequence[str], suite: Suite) -> list[str]:
    try:
        return [text.format(token=suite.token, class_word=suite.class_word) for text in prompts]
    except (KeyError, IndexError, ValueError) as error:
        raise UserError(
            f"expected no placeholder but {{token}} and {{class_word}} in --prompt, got {list(prompts)}",
            "Write {{ and }} for braces.",
        ) from error
