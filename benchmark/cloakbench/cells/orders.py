"""The order that a cell gives to a protection, and the models that the protection's process loads."""

from __future__ import annotations

import torch

from cloakbench.attacks import catalogue
from cloakbench.attacks.mimicry import dreambooth
from cloakbench.cells.plan import PlannedEntry
from cloakbench.datasets.artists import Artist
from cloakbench.images import Pixels
from cloakbench.metrics import clips
from cloakbench.models import loader, registry
from cloakbench.schemas.suite import Diffusing, Suite
from cloakbench.submissions import needs
from cloakbench.submissions.guard import Order
from cloakbench.submissions.sandbox.client import SurrogateChoice


def order(suite: Suite, entry: PlannedEntry, strength: float, artist: Artist, device: str) -> Order:
    """Returns the order to protect an artist's images.

    Args:
        suite: Its budget, seed and class word.
        entry: The entry; class images and the CLIP are only for those that need them.
        strength: In (0, 1].
        artist: Whose images.
        device: Where class images are drawn.
    """
    return Order(
        strength=strength,
        budget_255=suite.budget_255,
        seed=suite.protect_seed,
        class_word=suite.class_word,
        captions=artist.captions,
        masks=artist.masks,
        class_images=class_images(suite, device) if "class-images" in entry.needs else (),
        clip=clips.name_for(registry.family(suite.surrogate)) if "clip" in entry.needs else "",
    )


def models(suite: Suite, entry: PlannedEntry, device: str) -> list[SurrogateChoice]:
    """Returns what the entry's process loads: the surrogate, then the further models that the entry needs."""
    choices = []
    for alias in [suite.surrogate, *needs.models(entry.needs)]:
        choices.append(SurrogateChoice.at(alias, device, suite.dtype, suite.perceptual))
    return choices


def class_images(suite: Suite, device: str) -> list[Pixels]:
    """Returns the pictures of the class that the suite's mimics train with, drawn by the surrogate."""
    model = loader.load(suite.surrogate, device, getattr(torch, suite.dtype))
    settings = Diffusing(**suite.sampling.model_dump(include=set(Diffusing.model_fields)))
    return dreambooth.class_pictures(model, f"a {suite.class_word}", catalogue.class_images(suite), settings)
