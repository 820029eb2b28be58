"""What mimicry computes, written out from the papers' formulas: slow, plain, and without the code under test."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest
import tiny
import torch
from torch import Tensor, nn

from cloakbench.attacks.mimicry.personalised import TrainingSet
from cloakbench.images import to_tensor
from cloakbench.models.loader import BaseModel
from cloakbench.schemas.suite import Sampling

STEPS = 1000
SAMPLING = Sampling(prompts=["a {class_word}"], per_prompt=1, steps=2, guidance=3.0)
CAPTIONS = ["a painting of a boat by sks", "a painting by sks", "sks"]


def data(count: int = 3, sampling: Sampling = SAMPLING) -> TrainingSet:
    """A few pictures of an artist called sks."""
    pictures = to_tensor([tiny.picture(n) for n in range(count)])
    return TrainingSet(pictures, CAPTIONS[:count], "sks", "painting", sampling)


def weights(part: nn.Module) -> dict[str, Tensor]:
    return {name: weight.clone() for name, weight in part.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def alphas() -> Tensor:
    """The schedule: the root of beta runs linearly, alpha is the product of what each step leaves."""
    beta = torch.linspace(0.00085**0.5, 0.012**0.5, STEPS) ** 2
    return torch.cumprod(1 - beta, 0)


class Drawn(NamedTuple):
    """What chance decides in one step."""

    rows: Tensor
    times: Tensor
    latents: Tensor
    noise: Tensor


def draw(model: BaseModel, images: Tensor, count: int, generator: torch.Generator) -> Drawn:
    """One step's examples; rows, times, and then the samples of the posterior with the noise come in this order."""
    rows = torch.randint(0, len(images), (count,), generator=generator)
    times = torch.randint(0, STEPS, (count,), generator=generator)
    sample, noise = torch.randn((2, count, 4, 16, 16), generator=generator)
    with torch.no_grad():
        encoded = model.vae.encode(images * 2 - 1).latent_dist
    latents = (encoded.mean[rows] + encoded.std[rows] * sample) * model.vae.config.scaling_factor
    return Drawn(rows, times, latents, noise)


def loss(model: BaseModel, unet: Any, drawn: Drawn, context: Tensor) -> Tensor:
    """Mean squared error of epsilon, for mini-b of v = sqrt(a) epsilon - sqrt(1 - a) x."""
    a = alphas()[drawn.times].view(-1, 1, 1, 1)
    noisy = a.sqrt() * drawn.latents + (1 - a).sqrt() * drawn.noise
    velocity = a.sqrt() * drawn.noise - (1 - a).sqrt() * drawn.latents
    target = velocity if model.name == "mini-b" else drawn.noise
    predicted = unet(noisy, drawn.times, encoder_hidden_states=context).sample
    return ((predicted - target) ** 2).mean()


def text_ids(tokenizer: Any, texts: Sequence[str]) -> Tensor:
    length = tokenizer.model_max_length
    return torch.tensor([tokenizer(text, padding="max_length", max_length=length).input_ids for text in texts])


def embedded(model: BaseModel, encoder: Any, texts: Sequence[str]) -> Tensor:
    """The last hidden states, with gradients into the encoder."""
    return encoder(text_ids(model.tokenizer, texts)).last_hidden_state


def copied(part: Any) -> Any:
    return copy.deepcopy(part).requires_grad_(True)


@dataclass
class SeenSteps:
    """Each step of every AdamW: the weights before and after, their gradients, and the optimizer itself."""

    before: list[list[Tensor]] = field(default_factory=list)
    after: list[list[Tensor]] = field(default_factory=list)
    gradients: list[list[Tensor]] = field(default_factory=list)
    states: list[list[Tensor]] = field(default_factory=list)


@contextmanager
def watching() -> Iterator[SeenSteps]:
    """Notes what optimizers do meanwhile."""
    seen, step = SeenSteps(), torch.optim.AdamW.step

    def spy(self: Any, *arguments: Any) -> Any:
        trained = self.param_groups[0]["params"]
        seen.before.append([p.detach().clone() for p in trained])
        seen.gradients.append([p.grad.clone() for p in trained])
        result = step(self, *arguments)
        seen.after.append([p.detach().clone() for p in trained])
        seen.states.append([self.state[p][name].clone() for p in trained for name in ("exp_avg", "exp_avg_sq")])
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", spy)
        yield seen


def limited(gradients: Sequence[Tensor | None], norm: float = 1.0) -> list[Tensor]:
    """Gradients whose L2 norm together is at most `norm`, as DreamBooth and LoRA train."""
    present = [gradient for gradient in gradients if gradient is not None]
    total = sum(float(gradient.double().square().sum()) for gradient in present) ** 0.5
    return [gradient * min(1.0, norm / total) for gradient in present]


def assert_equal_gradients(found: Sequence[Tensor], expected: Sequence[Tensor]) -> None:
    """Equal but for rounding, on the scale of the largest."""
    largest = max(float(gradient.abs().max()) for gradient in expected)
    assert largest > 1e-6
    for ours, plain in zip(found, expected, strict=True):
        assert torch.allclose(ours, plain, rtol=1e-3, atol=1e-5 * largest)


def counting(function: Callable[..., Any], calls: list[Any]) -> Callable[..., Any]:
    """The same function, which notes its arguments first."""

    def counted(*arguments: Any, **named: Any) -> Any:
        calls.append((arguments, named))
        return function(*arguments, **named)

    return counted
