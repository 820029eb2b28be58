"""Gates of painting: `python -m cloakbench.models.mini.train.paint` asks a classifier of its own what was painted."""

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
        sources = [torch.Generator().manual_seed(seed * 1_000_003 + start + n) for n in range(len(part))]
        settings = {"num_inference_steps": STEPS, "guidance_scale": GUIDANCE, "output_type": "np"}
        images.append(pipe(prompts, generator=sources, height=128, width=128, **settings).images)
    return np.asarray(np.rint(np.concatenate(images) * 255), np.uint8)


def all_pairs(each: int) -> list[tuple[int, int]]:
    """Returns every training style with every subject, `each` times, styles outermost."""
    known = [n for n, style in enumerate(styles.STYLES) if style.group == "training"]
    return [pair for pair in product(known, range(len(scenes.SUBJECTS))) for _ in range(each)]


@torch.no_grad()
def named(model: Classifier, images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Returns the style and the subject `[2, n]` that the classifier sees in each picture."""
    parts = [model(to_pixels(part)) for part in np.array_split(images, max(1, len(images) // 30))]
    return np.stack([torch.cat([part[n] for part in parts]).argmax(1).numpy() for n in range(2)])


def sheet(images: NDArray[np.uint8], columns: int, side: int = 128) -> Image.Image:
    """Returns pictures as one, `columns` in a row."""
    lines = [np.concatenate(images[n : n + columns], 1) for n in range(0, len(images), columns)]
    whole = Image.fromarray(np.concatenate(lines))
    return whole.resize((whole.width * side // 128, whole.height * side // 128), Image.Resampling.LANCZOS)


def report(pairs: Sequence[tuple[int, int]], seen: NDArray[np.int64]) -> dict[str, object]:
    """Returns the shares named right, and the same by subject and by style."""
    right = seen == np.array(pairs).T
    style, subject = np.array(pairs).T
    return {
        "style": round(float(right[0].mean()), 3),
        "subject": round(float(right[1].mean()), 3),
        "holds": bool(right[0].mean() >= STYLE and right[1].mean() >= SUBJECT),
        "styles": {styles.STYLES[n].name: round(float(right[0][style == n].mean()), 2) for n in np.unique(style)},
        "subjects": {name: round(float(right[1][subject == n].mean()), 2) for n, name in enumerate(scenes.SUBJECTS)},
    }


def main() -> None:
    """Trains the classifier where it is missing, and prints what it sees in drawn pictures and in generations."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("training"))
    parser.add_argument("--stages", type=Path, default=stages.FOLDER)
    parser.add_argument("--model", type=Path, help="a folder of StableDiffusionPipeline; none: only drawn pictures")
    parser.add_argument("--each", type=int, default=2)
    parser.add_argument("--sheet", type=Path, help="where a contact sheet is written")
    parser.add_argument("--minutes", type=float, default=30.0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    pool = Pool(options.work / "pool", "taesd", known_only=True)
    run = Run("classifier", options.work, options.work / "classifier.safetensors", options.minutes)
    model, pairs = train_classifier(pool, run), all_pairs(options.each)
    names = list(scenes.SUBJECTS)
    jobs = [(styles.STYLES[s].name, names[k], [106, s, k, n]) for n, (s, k) in enumerate(pairs)]
    drawn = np.stack([styles.paint(*job, scenes.CLOSE) for job in jobs])
    print(json.dumps({"pictures": "drawn", **report(pairs, named(model, drawn))}))
    if options.model is not None:
        generated = generate(options.model, pairs, 1)
        print(json.dumps({"pictures": "generated", **report(pairs, named(model, generated))}))
        if options.sheet is not None:
            sheet(generated[:: options.each], len(names), 64).save(options.sheet)


if __name__ == "__main__":
    main()
