"""Mimics by the recipe of a suite, for the measurements of this folder: what they learn and what they generate."""

from __future__ import annotations

from collections.abc import Sequence

from cloakbench.attacks import catalogue
from cloakbench.attacks.mimicry import sampling
from cloakbench.attacks.mimicry.personalised import Personalised, TrainingSet
from cloakbench.images import Pixels, to_tensor
from cloakbench.models.loader import BaseModel
from cloakbench.schemas.suite import Suite

FIRST_SEED = 1000


def captions(suite: Suite, subjects: Sequence[str]) -> list[str]:
    """Returns one caption per subject in which the suite's token is the artist."""
    return [f"a painting of a {subject} in the style of {suite.token}" for subject in subjects]


def learn(
    model: BaseModel, suite: Suite, mimicry: str, images: Sequence[Pixels], texts: Sequence[str], seed: int
) -> Personalised:
    """Returns the mimic that was trained on images with captions by the suite's recipe of a mimicry."""
    data = TrainingSet(to_tensor(images), list(texts), suite.token, suite.class_word, suite.sampling)
    facts = catalogue.find("mimicry", mimicry)
    mimic: Personalised = facts.build(catalogue.settings(facts, suite)).personalise(model, data, seed)
    return mimic


def generate(mimic: Personalised, suite: Suite, prompts: Sequence[str]) -> list[Pixels]:
    """Returns one image per prompt, sampled as the suite says; the n-th has the n-th seed of a fixed row."""
    texts = [prompt.format(token=suite.token, class_word=suite.class_word) for prompt in prompts]
    return sampling.generate(mimic, texts, range(FIRST_SEED, FIRST_SEED + len(texts)), suite.sampling)
