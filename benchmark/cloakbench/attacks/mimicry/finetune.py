"""Fine-tuning shared by all mimicry: the diffusion loss on cached latents, with the gradients of whatever trains."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import ModelMixin
from torch import Tensor, nn
from torch.nn import functional as F

from cloakbench import progress, whitebox
from cloakbench.attacks.mimicry.captured import Batch, Captured
from cloakbench.models.loader import BaseModel
from cloakbench.system import imports
from cloakbench.system.memory import at_once

GRADIENT_NORM = 1.0
"""Limit of the gradients' norm in diffusers' scripts for DreamBooth and LoRA, and in those of IMPRESS."""
EIGHT_BIT = "adamw-8bit"
Contexts = Callable[[Tensor, Tensor], Tensor]
"""Text contexts `[B, L, C]` for the drawn rows of a training set at the drawn times."""
Loss = Callable[[torch.Generator], Iterable[Tensor]]
"""A step's loss on what it draws, in parts whose sum it is: one part unless memory is short."""


@dataclass(frozen=True, slots=True)
class FinetuneRecipe:
    """How the mimic trains: AdamW at a constant rate; `average` is the decay of the weights' moving average, or 0.

    `gradient_norm` is the largest L2 norm of all gradients together; longer ones are scaled down to it. 0: no limit.
    `optimizer` is `adamw`, or `adamw-8bit`, whose moments take 8 bits a value (Dettmers et al. 2022, arXiv 2110.02861).
    """

    steps: int
    batch: int
    learning_rate: float
    average: float = 0.0
    weight_decay: float = 0.01
    gradient_norm: float = 0.0
    optimizer: str = "adamw"

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 1 or self.learning_rate <= 0 or not 0 <= self.average < 1:
            raise ValueError("steps and batch must be at least 1, learning_rate above 0, average in [0, 1)")
        if self.optimizer not in ("adamw", EIGHT_BIT):
            raise ValueError(f"optimizer must be adamw or {EIGHT_BIT}")
        if self.optimizer == EIGHT_BIT:
            imports.restore_unused()
            if importlib.util.find_spec("bitsandbytes") is None:
                raise ValueError(f"{EIGHT_BIT} needs bitsandbytes: pip install 'cloakbench[eight-bit]'")

    def build(self, weights: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
        """Returns the optimizer of these weights."""
        if self.optimizer == "adamw":
            return torch.optim.AdamW(weights, self.learning_rate, weight_decay=self.weight_decay, fused=True)
        optim: Any = importlib.import_module("bitsandbytes.optim")
        optimizer: torch.optim.Optimizer = optim.AdamW8bit(weights, self.learning_rate, weight_decay=self.weight_decay)
        return optimizer


@dataclass(frozen=True, slots=True)
class Examples:
    """Images to learn from, as the latents' unscaled posterior `[N, C, h, w]`, and how their texts are embedded."""

    mean: Tensor
    deviation: Tensor
    contexts: Contexts

    def draw(self, model: BaseModel, count: int, generator: torch.Generator) -> Batch:
        """Returns `count` examples drawn with replacement, each at its own time with its own noise."""
        rows = torch.randint(0, len(self.mean), (count,), generator=generator)
        times = torch.randint(0, model.scheduler.config.num_train_timesteps, (count,), generator=generator)
        drawn, noise = torch.randn((2, count, *self.mean.shape[1:]), generator=generator).to(self.mean)
        latents = (self.mean[rows] + self.deviation[rows] * drawn) * model.vae.config.scaling_factor
        times = times.to(model.device)
        return Batch(latents, noise, times, self.contexts(rows.to(model.device), times))


def at_own_size(model: BaseModel, images: Tensor) -> Tensor:
    """Returns square images `[N, 3, S, S]` at the size that the model draws: others would teach it another scale.

    Images that are not square stay as they are, because resizing would squash them.
    """
    side = model.unet.config.sample_size * model.divisor
    height, width = images.shape[-2:]
    if height != width or height == side:
        return images
    return F.interpolate(images, (side, side), mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)


@torch.no_grad()
def posterior(model: BaseModel, images: Tensor, chunk: int = 4) -> tuple[Tensor, Tensor]:
    """Returns means and standard deviations of the latents of `[N, 3, H, W]` images in [0, 1], unscaled, in float32.

    Square images of another size than the model's are resized to it first.
    """
    images = at_own_size(model, images)
    chunk = at_once(chunk, len(images))
    parts = [whitebox.posterior(model, part.to(model.device)) for part in torch.split(images, chunk)]
    means, deviations = zip(*parts, strict=True)
    return torch.cat(means), torch.cat(deviations)


def fixed_contexts(model: BaseModel, texts: Sequence[str]) -> Contexts:
    """Returns contexts embedded once: right as long as nothing of the text encoder trains."""
    embedded = model.embed(list(texts))
    return lambda rows, _times: embedded[rows]


def live_contexts(model: BaseModel, texts: Sequence[str]) -> Contexts:
    """Returns contexts embedded anew at every step, with gradients into the text encoder."""
    ids = model.tokens(list(texts))
    return lambda rows, _times: torch.as_tensor(model.text_encoder(ids[rows]).last_hidden_state)


def trainable(part: nn.Module) -> nn.Module:
    """Returns the part, whose weights now train: float32 ones, as AdamW's small steps vanish in half precision."""
    return part.train().requires_grad_(True)


def training_weights(part: nn.Module) -> list[nn.Parameter]:
    """Returns the weights of the part that train."""
    return [weight for weight in part.parameters() if weight.requires_grad]


def finished(part: Any, model: BaseModel) -> Any:
    """Returns a trained part as the model's own are: frozen, in evaluation mode, in the model's precision."""
    if isinstance(part, ModelMixin) and part.is_gradient_checkpointing:  # text encoders do not have it on
        part.disable_gradient_checkpointing()
    if model.dtype != torch.float32:
        nn.Module.to(part, model.dtype)  # the method of diffusers warns at every call
    return part.eval().requires_grad_(False)


def predict(model: BaseModel, batch: Batch) -> tuple[Tensor, Tensor]:
    """Returns the denoiser's prediction for a batch and its target, epsilon or v as the model was trained."""
    return whitebox.predict(model, batch.latents, batch.noise, batch.times, batch.context)


def diffusion_loss(model: BaseModel, batch: Batch) -> Tensor:
    """Returns the mean squared error of the denoiser's prediction over a batch."""
    return F.mse_loss(*predict(model, batch))


def drawn_loss(model: BaseModel, examples: Examples, count: int) -> Loss:
    """Returns the loss that `finetune` calls at each step: that on `count` freshly drawn examples."""
    step = FinetuneStep(model)
    return lambda generator: step.parts([examples.draw(model, count, generator)])


class FinetuneStep:
    """The loss of a training's steps, of batches of one length: the sum of their losses, each with its weight.

    With the artist's batch and the class's it is prior preservation (Ruiz et al. 2023, eq. 2).
    """

    def __init__(self, model: BaseModel, weights: Sequence[float] = (1.0,)) -> None:
        self._model = model
        self._weights = weights
        self._captured: Captured | None = None

    def parts(self, batches: Sequence[Batch]) -> Iterator[Tensor]:
        """Yields the weighted loss of the batches, one batch per weight: in one part unless memory is short.

        A part that has gradients has to be differentiated before the next is taken; one that has none is already.
        The sum of the gradients is the same however many parts there are.
        """
        count = sum(len(batch.latents) for batch in batches)
        most = at_once(count, count)
        if most < count:
            for batch, weight in zip(batches, self._weights, strict=True):
                yield from _pieces(self._model, batch, weight, most)
            return
        joined = Batch.joined(batches)
        # A checkpointed forward pass reads the state of the random generator, which a CUDA graph does not allow.
        if self._model.device.type != "cuda" or self._model.unet.is_gradient_checkpointing:
            yield self._loss(joined)
            return
        if self._captured is None:
            self._captured = Captured(self._loss, self._model.unet, joined)
        yield self._captured.replay(joined)

    def _loss(self, joined: Batch) -> Tensor:
        predictions, targets = predict(self._model, joined)
        count = len(self._weights)
        losses = []
        for weight, predicted, target in zip(
            self._weights, predictions.chunk(count), targets.chunk(count), strict=True
        ):
            losses.append(weight * F.mse_loss(predicted, target))
        return torch.stack(losses).sum()


def _pieces(model: BaseModel, batch: Batch, weight: float, most: int) -> Iterator[Tensor]:
    """Yields a batch's weighted loss by `most` examples at a time; contexts get all their gradients at the end."""
    learns, count = batch.context.requires_grad, len(batch.latents)
    context = batch.context.detach().requires_grad_(learns)
    for at in range(0, count, most):
        rows = slice(at, at + most)
        piece = Batch(batch.latents[rows], batch.noise[rows], batch.times[rows], context[rows])
        yield diffusion_loss(model, piece) * (weight * len(piece.latents) / count)
    if learns:
        batch.context.backward(context.grad)  # type: ignore[no-untyped-call]


def finetune(
    weights: Sequence[nn.Parameter],
    loss: Loss,
    recipe: FinetuneRecipe,
    seed: int,
    limit: Callable[[Sequence[nn.Parameter], float], object] = nn.utils.clip_grad_norm_,
) -> tuple[float, ...]:
    """Trains weights in place; returns the loss of every step.

    Args:
        weights: What trains, in float32.
        loss: Draws a step's batch from the generator it gets and yields the loss in parts.
        recipe: Steps, rate and the like.
        seed: Of the generator.
        limit: Scales gradients of a norm above the recipe's down to it, in place; by default all of them together.
    """
    averages = [p.detach().clone() for p in weights] if recipe.average else []
    optimizer = recipe.build(weights)
    generator = torch.Generator().manual_seed(seed)
    losses = []
    for step in progress.track(range(recipe.steps), recipe.steps, "training steps"):
        optimizer.zero_grad(set_to_none=True)
        parts = []
        for part in loss(generator):
            if part.requires_grad:
                part.backward()  # type: ignore[no-untyped-call]
            parts.append(part.detach())
        if recipe.gradient_norm:
            limit(weights, recipe.gradient_norm)
        optimizer.step()
        losses.append(torch.stack(parts).sum())
        if averages:
            keep = min(recipe.average, (step + 1) / (step + 10))
            torch._foreach_lerp_(averages, [w.detach() for w in weights], 1 - keep)
    optimizer.zero_grad(set_to_none=True)  # the gradients' memory is wanted for sampling
    with torch.no_grad():
        for weight, average in zip(weights, averages, strict=False):
            weight.copy_(average)
    return tuple(torch.stack(losses).tolist())
