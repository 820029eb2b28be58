"""A diffusion model as a zero-shot classifier: under which text it predicts an image's noise best (Li et al. 2023)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from cloakbench.errors import UserError
from cloakbench.images import Pixels, fit_square, to_tensor
from cloakbench.metrics.comparing import checked
from cloakbench.models.loader import BaseModel
from cloakbench.system.memory import at_once

SAMPLES = (20, 50, 100, 500)
"""Time steps that the texts still in the race have been tried at after each round (IMPRESS)."""
SURVIVORS = (20, 10, 5, 3)
"""Number of texts that stay after each round (IMPRESS)."""


@torch.no_grad()
def most_likely(
    model: BaseModel,
    images: Sequence[Pixels],
    texts: Sequence[str],
    samples: Sequence[int] = SAMPLES,
    survivors: Sequence[int] = SURVIVORS,
    chunk: int = 32,
) -> list[list[int]]:
    """Returns for each image the positions of the likeliest `survivors[-1]` texts, the likeliest first.

    A text's error is the mean over time steps of the squared error of the predicted noise. After each round the texts
    of least error stay. Images are cut to their central square and scaled to the model's size. Raises UserError for an
    empty set, fewer than two texts, and rounds that do not narrow down.
    """
    _check(texts, samples, survivors)
    pixels = [fit_square(image, model.facts.image_size) for image in checked(images)]
    contexts = model.embed(list(texts))
    likeliest = []
    for image in pixels:
        clean = model.vae.encode(to_tensor([image]).to(model.device, model.dtype) * 2 - 1).latent_dist.mean
        elimination = _Elimination(model, clean * model.vae.config.scaling_factor, contexts, chunk)
        likeliest.append(elimination.run(samples, survivors))
    return likeliest


def _check(texts: Sequence[str], samples: Sequence[int], survivors: Sequence[int]) -> None:
    if len(texts) < 2:
        raise UserError(f"expected at least 2 texts to choose from, got {len(texts)}", "Give one a class.")
    rises = list(samples) == sorted(set(samples))
    falls = list(survivors) == sorted(survivors, reverse=True)
    if not (len(samples) == len(survivors) > 0 and rises and falls and min(*survivors, *samples) > 0):
        raise UserError(
            f"expected rising samples and as many falling numbers of texts, got {list(samples)} and {list(survivors)}",
            "Give both as in SAMPLES and SURVIVORS.",
        )


class _Elimination:
    """Rounds that drop the least likely texts of one image; holds the errors of each text so far."""

    def __init__(self, model: BaseModel, clean: Tensor, contexts: Tensor, chunk: int) -> None:
        self.model, self.clean, self.contexts, self.chunk = model, clean, contexts, chunk
        self.alphas = model.scheduler.alphas_cumprod.to(model.device)
        self.errors: list[list[float]] = [[] for _ in contexts]

    def run(self, samples: Sequence[int], survivors: Sequence[int]) -> list[int]:
        """Returns the positions of the texts that survive the last round, the likeliest first."""
        candidates, used_times = list(range(len(self.contexts))), set[int]()
        for count, stay in zip(samples, survivors, strict=True):
            times = [t for t in _times(len(self.alphas), max(samples), count) if t not in used_times]
            used_times.update(times)
            self._add_errors(candidates, times)
            candidates = sorted(candidates, key=self._mean)[:stay]
        return candidates

    def _mean(self, text: int) -> float:
        return sum(self.errors[text]) / len(self.errors[text])

    def _add_errors(self, texts: Sequence[int], times: Sequence[int]) -> None:
        """Adds the errors of each text at each time."""
        pairs = list(itertools.product(times, texts))
        chunk = at_once(self.chunk, len(pairs))
        for start in range(0, len(pairs), chunk):
            part = pairs[start : start + chunk]
            for (_, text), error in zip(part, self._errors(part).tolist(), strict=True):
                self.errors[text].append(error)

    def _errors(self, pairs: Sequence[tuple[int, int]]) -> Tensor:
        """Returns the mean squared error `[N]` of the noise that is predicted for each time and text."""
        times, texts = zip(*pairs, strict=True)
        at = torch.tensor(times, device=self.model.device)
        noise = torch.stack([self._noise(time) for time in times]).to(self.clean)
        shares = torch.stack([self.alphas[at], 1 - self.alphas[at]]) ** 0.5
        of_clean, of_noise = shares.view(2, -1, 1, 1, 1).to(noise.dtype)
        noised = of_clean * self.clean + of_noise * noise
        predicted = self.model.unet(noised, at, encoder_hidden_states=self.contexts[list(texts)]).sample
        if self.model.scheduler.config.prediction_type == "v_prediction":
            predicted = of_clean * predicted + of_noise * noised
        return F.mse_loss(predicted.float(), noise.float(), reduction="none").mean((1, 2, 3))

    def _noise(self, time: int) -> Tensor:
        """Returns the noise of a time step: the same for every text and image, so that no value depends on others."""
        return torch.randn(self.clean.shape[1:], generator=torch.Generator().manual_seed(time))


def _times(length: int, most: int, count: int) -> list[int]:
    """Returns `count` time steps in the middles of equal stretches, out of the `most` that are ever tried."""
    most = min(most, length)
    count = min(count, most)
    every = range(length // most // 2, length, length // most)[:most]
    return list(every[len(every) // count // 2 :: len(every) // count][:count])
