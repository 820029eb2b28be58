"""Gates of painting: `python -m cloakbench.models.mini.train.paint` classifies what a base model generates."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from cloakbench.datasets.procedural import scenes, styles
from cloakbench.models.mini.train import stages
from cloakbench.models.mini.train.loop import Recipe, rows, train
from cloakbench.models.mini.train.pool import Pool, to_pixels
from cloakbench.models.mini.train.run import Run
from cloakbench.streams import seeded

RECIPE = Recipe(steps=1_500, batch=48, lr=1e-3, muon_lr=3e-3, seed=81, average=0.99)
SUBJECT, STYLE = 0.9, 0.95
"""Shares of generations whose subject and whose style the classifier has to name as the prompt does."""
STEPS, GUIDANCE = 10, 3.0
"""How `mini` samples."""


class Classifier(nn.Module):
    """Names style and subject of a picture; it shares neither weights nor form with the judge."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 32, 64, 96, 128, 128)
        layers: list[nn.Module] = []
        for n in range(len(widths) - 1):
            layers += [nn.Conv2d(widths[n], widths[n + 1], 3, 2, 1), nn.GroupNorm(8, widths[n + 1]), nn.SiLU()]
        self.layers = nn.Sequential(*layers)
        self.style = nn.Linear(widths[-1], len(styles.STYLES))
        self.subject = nn.Linear(widths[-1] * 16, len(scenes.SUBJECTS))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Returns logits of styles `[b, 30]` and of subjects `[b, 10]` for pictures `[b, 3, 128, 128]` in [0, 1]."""
        maps = self.layers(pixels * 2 - 1)
        return self.style(maps.mean((2, 3))), self.subject(maps.flatten(1))


def blurred(x: Tensor, rng: np.random.Generator) -> Tensor:
    """Returns the batch mirrored or not, and softened or noisy: what a decoder does to a picture must not matter."""
    x = x.flip(-1) if rng.random() < 0.5 else x
    kind = rng.integers(3)
    if kind == 0:
        side = int(rng.integers(64, 120))
        return F.interpolate(F.interpolate(x, side, mode="area"), 128, mode="bilinear")
    return x + 0.04 * torch.from_numpy(rng.standard_normal(x.shape)).float() if kind == 1 else x


def train_classifier(pool: Pool, run: Run, recipe: Recipe = RECIPE) -> Classifier:
    """Returns the classifier, trained on drawn pictures alone."""
    torch.manual_seed(recipe.seed)
    model = Classifier().to(memory_format=torch.channels_last)

    def loss(step: int) -> Tensor:
        pool.follow(step)
        chosen = rows(recipe, step, len(pool.latents))
        x = to_pixels(np.stack([pool.picture(int(row)) for row in chosen]))
        x = blurred(x, np.random.default_rng([recipe.seed, step])).contiguous(memory_format=torch.channels_last)
        style, subject = torch.from_numpy(pool.labels[:, chosen]).to(run.device)
        with run.casting():
            of_style, of_subject = model(x.to(run.device))
        return F.cross_entropy(of_style.float(), style) + F.cross_entropy(of_subject.float(), subject)

    average = train(model, recipe, loss, run)
    assert isinstance(average, Classifier)
    return average.eval()


@torch.no_grad()
def generate(folder: Path, pairs: Sequence[tuple[int, int]], seed: int, chunk: int = 20) -> NDArray[np.uint8]:
    """Returns a picture `[n, 128, 128, 3]` by the model in `folder` for each pair of style and subject."""
    pipe = StableDiffusionPipeline.from_pretrained(folder, safety_checker=None, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = DPMSolverMultistepScheduler.from_config(pipe.scheduler.config)
    names, images = list(scenes.SUBJECTS), []
    for start in range(0, len(pairs), chunk):
        part = pairs[start : start + chunk]
        prompts = [f"a painting of a {names[k]} in the style of {styles.STYLES[s].name}" for s, k in part]
        first_seed = seed * 1_000_003 + start
        sources = seeded(range(first_seed, first_seed + len(part)))
        settings = {"num_inference_steps": STEPS, "guidance_scale": GUIDANCE, "output_type": "np"}
        images.append(pipe(prompts, generator=sources, height=128, width=128, **settings).images)
    return np.asarray(np.rint(np.concatenate(images) * 255), np.uint8)


def all_pairs(repeats: int) -> list[tuple[int, int]]:
    """Returns every training style with every subject, `repeats` times, styles outermost."""
    pairs = []
    for pair in product(styles.numbers("training"), range(len(scenes.SUBJECTS))):
        pairs += [pair] * repeats
    return pairs


@torch.no_grad()
def classified(model: Classifier, images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Returns the style and the subject `[2, n]` that the classifier gives each picture."""
    parts = []
    for part in np.array_split(images, max(1, len(images) // 30)):
        of_style, of_subject = model(to_pixels(part))
        parts.append(torch.stack([of_style.argmax(1), of_subject.argmax(1)]))
    return torch.cat(parts, dim=1).numpy()


def sheet(images: NDArray[np.uint8], columns: int, side: int = 128) -> Image.Image:
    """Returns pictures as one, `columns` in a row."""
    lines = [np.concatenate(images[n : n + columns], 1) for n in range(0, len(images), columns)]
    whole = Image.fromarray(np.concatenate(lines))
    return whole.resize((whole.width * side // 128, whole.height * side // 128), Image.Resampling.LANCZOS)


def report(pairs: Sequence[tuple[int, int]], classes: NDArray[np.int64]) -> dict[str, object]:
    """Returns the shares of pictures whose style and subject are classified right, overall and per style and subject.

    Args:
        pairs: The true style and subject of each picture.
        classes: What `classified` returned for them.
    """
    style, subject = np.array(pairs).T
    right_style, right_subject = classes == np.array(pairs).T
    return {
        "style": round(float(right_style.mean()), 3),
        "subject": round(float(right_subject.mean()), 3),
        "holds": bool(right_style.mean() >= STYLE and right_subject.mean() >= SUBJECT),
        "styles": _shares(right_style, style, styles.learnable_names()),
        "subjects": _shares(right_subject, subject, list(scenes.SUBJECTS)),
    }


def _shares(right: NDArray[np.bool_], classes: NDArray[np.int64], names: Sequence[str]) -> dict[str, float]:
    """Returns the share of right answers per true class that occurs, by its name."""
    return {names[n]: round(float(right[classes == n].mean()), 2) for n in np.unique(classes)}


def main() -> None:
    """Trains the classifier where it is missing; prints its accuracy on drawn pictures and on generations."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("training"))
    parser.add_argument("--stages", type=Path, default=stages.FOLDER)
    parser.add_argument("--model", type=Path, help="a folder of StableDiffusionPipeline; none: only drawn pictures")
    parser.add_argument("--each", type=int, default=2)
    parser.add_argument("--sheet", type=Path, help="where a contact sheet is written")
    parser.add_argument("--minutes", type=float, default=30.0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    pool = Pool(options.work / "pool", "taesd", known_only=True).wait()
    run = Run("classifier", options.work, options.work / "classifier.safetensors", options.minutes)
    model, pairs = train_classifier(pool, run), all_pairs(options.each)
    names = list(scenes.SUBJECTS)
    pictures = []
    for n, (s, k) in enumerate(pairs):
        pictures.append(styles.paint(styles.STYLES[s].name, names[k], [106, s, k, n], scenes.CLOSE))
    print(json.dumps({"pictures": "drawn", **report(pairs, classified(model, np.stack(pictures)))}))
    if options.model is not None:
        generated = generate(options.model, pairs, 1)
        print(json.dumps({"pictures": "generated", **report(pairs, classified(model, generated))}))
        if options.sheet is not None:
            sheet(generated[:: options.each], len(names), 64).save(options.sheet)


if __name__ == "__main__":
    main()
