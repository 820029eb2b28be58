"""Measures the embedded models for the model card: `python tests/benchmarks/model_card.py --work FOLDER [--part ...]`.

Needs the training folder (its unseen check pictures) and LPIPS's AlexNet (torchvision's, see `TORCH_HOME`). Prints
markdown tables; `samples` writes `benchmark/cloakbench/models/mini/samples.png`.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import numpy as np
import pyiqa
import torch
from PIL import Image
from scipy import stats

from cloakbench.attacks.mimicry.personalised import Personalised
from cloakbench.attacks.mimicry.sampling import generate
from cloakbench.datasets.procedural import scenes, styles
from cloakbench.images import Pixels
from cloakbench.metrics import judge as judges
from cloakbench.models import loader, registry
from cloakbench.models.mini.train import data, gates, teacher
from cloakbench.models.mini.train.perceptual import distort
from cloakbench.suites import load as suites


def autoencoder(_work: Path) -> None:
    """Prints the shipped autoencoder's figures beside its teacher's, a row per artist, and the gates."""
    vae, model, figures = loader.load("mini-a").vae, teacher.load("taesd"), []
    print(
        "| artist | shift | by noise | teacher's | transferred | PSNR dB | teacher's |\n|---|---|---|---|---|---|---|"
    )
    for artist, pictures in gates.pictures(4):
        figures.append(gates.measure(artist, pictures, vae, model))
        f = figures[-1]
        moved = f"{f.shift:.2f} | {f.noise_shift:.3f} | {f.teacher_shift:.2f} | {f.transferred:.2f}"
        print(f"| {artist} | {moved} | {f.psnr:.1f} | {f.teacher_psnr:.1f} |")
    for gate in gates.all_gates(figures):
        verdict = "held" if gate.holds else "missed"
        print(f"{gate.name}, {gate.artist}: {gate.measured:.2f} of {gate.required:.2f}: {verdict}")


def distance(work: Path) -> None:
    """Prints Spearman's rank correlation of mini-lpips with LPIPS and DISTS on distorted unseen pictures."""
    pictures = data.check(work)
    rng, generator = np.random.default_rng(5), torch.Generator().manual_seed(5)
    x = pictures.batch(rng.choice(len(pictures.style), 160, replace=False)) / 2 + 0.5
    with torch.no_grad():
        y = torch.cat([distort(part, rng, generator) for part in x.split(2)])
        ours = loader.mini_lpips()(x, y).numpy()
        theirs = teacher.perceptual()(x * 2 - 1, y * 2 - 1).flatten().numpy()
        dists = pyiqa.create_metric("dists", device="cpu")(y, x).flatten().numpy()
    for name, values in (("LPIPS (AlexNet)", theirs), ("DISTS", dists)):
        print(
            f"Spearman correlation of mini-lpips with {name}, 160 pairs: {stats.spearmanr(ours, values).statistic:.3f}"
        )


def judge(work: Path) -> None:
    """Prints how often the judge names the style of unseen pictures, by group."""
    pictures, clip = data.check(work), judges.load()
    named = np.array(clip.named_style(clip.features(list(pictures.images))))
    truth = np.array([styles.STYLES[n].name for n in pictures.style])
    for group in ("training", "development"):
        rows = np.isin(truth, styles.names(group))
        print(f"judge, {group}: {np.mean(named[rows] == truth[rows]):.3f} of {rows.sum()} unseen pictures named right")


def samples(_work: Path) -> None:
    """Writes a grid of mini-a's generations: a row a training style, a column a subject; both models are named."""
    subjects, names = list(scenes.SUBJECTS), styles.names("training")
    generations = _generations("mini-a", subjects, names)
    rows = []
    for n in range(0, len(generations), len(subjects)):
        rows.append(np.concatenate(generations[n : n + len(subjects)], 1))
    path = registry.WEIGHTS.parent / "samples.png"
    grid = Image.fromarray(np.concatenate(rows)).resize((64 * len(subjects), 64 * len(names)), Image.Resampling.LANCZOS)
    grid.quantize(128).save(path, optimize=True)
    _generations("mini-b", subjects, names)


def _generations(alias: str, subjects: list[str], names: list[str]) -> list[Pixels]:
    """Returns a generation of each subject in each style, and prints how often the judge names the style."""
    pairs = itertools.product(names, subjects)
    prompts = [f"a painting of a {subject} in the style of {style}" for style, subject in pairs]
    plan = suites.load("mini").sampling
    generations = generate(Personalised(loader.load(alias)), prompts, range(len(prompts)), plan, chunk=20)
    clip = judges.load()
    named = clip.named_style(clip.features(generations))
    right = np.mean([a == b for a, b in zip(named, np.repeat(names, len(subjects)), strict=True)])
    print(f"{alias}: the judge names the prompted style in {right:.3f} of {len(generations)} generations")
    return generations


PARTS = {"autoencoder": autoencoder, "distance": distance, "judge": judge, "samples": samples}


def main() -> None:
    """Runs the parts named, all by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("training"))
    parser.add_argument("--part", nargs="*", choices=list(PARTS), default=list(PARTS))
    arguments = parser.parse_args()
    for part in arguments.part:
        PARTS[part](arguments.work)


if __name__ == "__main__":
    main()
