"""DreamBooth (Ruiz et al. 2023, arXiv 2208.12242): the whole denoiser is fine-tuned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from cloakbench.attacks.mimicry import sampling
from cloakbench.attacks.mimicry.finetune import (
    GRADIENT_NORM,
    Contexts,
    Examples,
    FinetuneRecipe,
    FinetuneStep,
    Loss,
    drawn_loss,
    finetune,
    finished,
    fixed_contexts,
    live_contexts,
    posterior,
    trainable,
    training_weights,
)
from cloakbench.attacks.mimicry.personalised import Personalised, TrainingSet, keep_token
from cloakbench.images import Pixels, to_tensor
from cloakbench.models.loader import BaseModel
from cloakbench.schemas.suite import Diffusing


class DreamBooth:
    """Fine-tunes every weight of the denoiser, and of the text encoder where the suite says so.

    With `prior_weight` above 0, as many of `class_images` pictures that the base model itself makes of the class
    ("a painting") are drawn in each step as the artist's, and their loss is added with that weight.

    To fit a smaller card, `optimizer` may be `adamw-8bit`, and `gradient_checkpointing` computes activations twice.
    """

    def __init__(
        self,
        steps: int,
        batch: int,
        learning_rate: float,
        average: float = 0.0,
        train_text_encoder: bool = False,
        prior_weight: float = 0.0,
        class_images: int = 0,
        optimizer: str = "adamw",
        gradient_checkpointing: bool = False,
    ) -> None:
        if prior_weight < 0 or class_images < 0 or (prior_weight > 0) != (class_images > 0):
            raise ValueError("prior_weight and class_images go together: both above 0, or both 0")
        self.recipe = FinetuneRecipe(
            steps, batch, learning_rate, average, gradient_norm=GRADIENT_NORM, optimizer=optimizer
        )
        self.gradient_checkpointing = gradient_checkpointing
        self.train_text_encoder = train_text_encoder
        self.prior_weight = prior_weight
        self.class_images = class_images

    def personalise(self, model: BaseModel, data: TrainingSet, seed: int) -> Personalised:
        """Returns the model with copies of its trained parts that have learned `data`."""
        vae = self.autoencoder(model, data, seed)
        learner = replace(model, unet=trainable(model.in_single("unet")), vae=vae)
        if self.train_text_encoder:
            learner = replace(learner, text_encoder=trainable(model.in_single("text_encoder")))
        if self.gradient_checkpointing:
            learner.unet.enable_gradient_checkpointing()
        captions = keep_token(model, data.captions, data.token)
        examples = self._examples(learner, data.images, captions)
        loss = self._loss(learner, examples, self._prior(model, learner, data))
        weights = [*training_weights(learner.unet), *training_weights(learner.text_encoder)]
        losses = finetune(weights, loss, self.recipe, seed)
        finished(learner.unet, model)
        finished(learner.text_encoder, model)
        return Personalised(learner, losses)

    def _loss(self, learner: BaseModel, examples: Examples, prior: Examples | None) -> Loss:
        count = self.recipe.batch
        if prior is None:
            return drawn_loss(learner, examples, count)

        step = FinetuneStep(learner, (1.0, self.prior_weight))

        def loss(generator: torch.Generator) -> Iterator[Tensor]:
            of_artist = examples.draw(learner, count, generator)
            of_class = prior.draw(learner, count, generator)
            return step.parts([of_artist, of_class])

        return loss

    def _examples(self, learner: BaseModel, images: Tensor, captions: Sequence[str]) -> Examples:
        return Examples(*posterior(learner, images), self._contexts(learner, captions))

    def _contexts(self, learner: BaseModel, texts: Sequence[str]) -> Contexts:
        return live_contexts(learner, texts) if self.train_text_encoder else fixed_contexts(learner, texts)

    def _prior(self, model: BaseModel, learner: BaseModel, data: TrainingSet) -> Examples | None:
        if not self.class_images:
            return None
        settings = Diffusing(**data.sampling.model_dump(include=set(Diffusing.model_fields)))
        mean, deviation = self.class_examples(model, learner, f"a {data.class_word}", settings)
        captions = [self.class_caption(data)] * self.class_images
        return Examples(mean, deviation, self._contexts(learner, captions))

    def autoencoder(self, model: BaseModel, data: TrainingSet, seed: int) -> Any:
        """Returns the autoencoder that encodes for the training and decodes for the mimic: here the model's own."""
        return model.vae

    def class_examples(
        self, model: BaseModel, learner: BaseModel, text: str, settings: Diffusing
    ) -> tuple[Tensor, Tensor]:
        """Returns means and deviations of the latents of class images, drawn by `model` and encoded by `learner`."""
        return _class_posterior(model, text, self.class_images, settings)

    def class_caption(self, data: TrainingSet) -> str:
        """Returns the caption that class images are learned under."""
        return f"a {data.class_word}"


@lru_cache(maxsize=2)
def _class_posterior(model: BaseModel, text: str, count: int, settings: Diffusing) -> tuple[Tensor, Tensor]:
    """Returns the posterior of pictures of the class that the model draws.

    They are the same for every artist and arm, which therefore stay paired, and drawn and encoded once per model.
    """
    return posterior(model, to_tensor(class_pictures(model, text, count, settings)))


def class_pictures(model: BaseModel, text: str, count: int, settings: Diffusing) -> list[Pixels]:
    """Returns pictures of the class that the model draws, from seeds that no artist's images have."""
    return sampling.generate(Personalised(model), [text] * count, range(count), settings)
