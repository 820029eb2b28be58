"""What each component of Impasto does: `python tests/benchmarks/impasto.py [--images 4] [--steps 50] [--rows ...]`.

Protects images of each development artist at 16/255, component by component, and prints a markdown table: the latent's
norm (what the encoder attack lowers) and its distance to the clean one, both over the clean norm; the diffusion loss on
draws that no protection has seen, over the clean images' on the same draws; quality; processor seconds per image.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import torch
from torch import Tensor

from cloakbench import submissions, whitebox
from cloakbench.datasets.artists import mini_artist
from cloakbench.images import Pixels, to_tensor
from cloakbench.metrics import quality
from cloakbench.models import loader
from cloakbench.submissions import guard
from cloakbench.suites import load as suites

ARTISTS = ("swirl", "crosshatch", "stained-glass", "stencil")
METRICS = ("mini-lpips", "gmsd", "dists", "psnr")
DRAWS = 8
BARE = "dap=false,iwr=false,lowpass=0,lpips=0"
ROWS: dict[str, tuple[str, float]] = {
    "base": (f"{BARE},pap=0", 1.0),
    "base, 12/255": (f"{BARE},pap=0", 0.75),
    "base, 8/255": (f"{BARE},pap=0", 0.5),
    "+ PAP, average": (BARE, 1.0),
    **{f"+ PAP, {name}": (f"{BARE},jnd={name}", 1.0) for name in ("la", "cm", "csf", "std", "entropy", "off")},
    "+ IWR": ("dap=false,lowpass=0,lpips=0", 1.0),
    "+ LPIPS": ("dap=false,lowpass=0", 1.0),
    "+ low-pass": ("dap=false", 1.0),
    "+ DAP (all)": ("", 1.0),
    "all, jnd=off": ("jnd=off", 1.0),
    "all, pap=0": ("pap=0", 1.0),
}
"""Name -> parameters, strength. Down to `+ DAP` each row adds to the one above, but for the single maps."""


def samples(count: int) -> tuple[list[Pixels], list[str]]:
    """Returns `count` images of each development artist, with captions."""
    suite = suites.load("mini")
    pixels: list[Pixels] = []
    captions: list[str] = []
    for name in ARTISTS:
        artist = mini_artist(name, suite)
        pixels += artist.images[:count]
        captions += artist.captions[:count]
    return pixels, captions


class Judge:
    """Compares protected images with the clean ones on mini-a."""

    def __init__(self, clean: Sequence[Pixels]) -> None:
        self.model = loader.load("mini-a").surrogate()
        self.clean = list(clean)
        self.latents = self._latents(clean)

    @torch.no_grad()
    def columns(self, changed: Sequence[Pixels]) -> list[float]:
        """Returns latent norm and shift, diffusion loss, and the metrics, means over images."""
        latents = self._latents(changed)
        size, norm = _norm(self.latents), (_norm(latents) / _norm(self.latents)).mean()
        loss = self._loss(latents).mean() / self._loss(self.latents).mean()
        values = quality.measure(METRICS, changed, self.clean)
        means = [sum(values[name]) / len(changed) for name in METRICS]
        return [float(norm), float((_norm(latents - self.latents) / size).mean()), float(loss), *means]

    @torch.no_grad()
    def _latents(self, pixels: Sequence[Pixels]) -> Tensor:
        return torch.cat([whitebox.latent_means(self.model, part) for part in torch.split(to_tensor(pixels), 8)])

    def _loss(self, latents: Tensor) -> Tensor:
        generator, context = torch.Generator().manual_seed(99), whitebox.contexts(self.model, ["a painting"])
        scaled = latents * whitebox.scale(self.model)
        return torch.stack(
            [whitebox.diffusion_loss(self.model, scaled, context, generator) for _ in range(DRAWS)]
        ).mean(0)


def _norm(latents: Tensor) -> Tensor:
    return latents.flatten(1).norm(dim=1)


def main() -> None:
    """Prints the table's rows as they come."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--base", default="photoguard")
    parser.add_argument("--rows", nargs="*", choices=list(ROWS), default=list(ROWS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    pixels, captions = samples(options.images)
    judge = Judge(pixels)
    titles = ("row", "latent norm", "shift", "diffusion loss", *METRICS, "s per image")
    print(f"| {' | '.join(titles)} |\n{'|---' * len(titles)}|")
    for name in options.rows:
        parameters, strength = ROWS[name]
        spelled = ",".join(sorted(filter(None, (parameters, f"base={options.base}", f"steps={options.steps}"))))
        protection = submissions.load(f"impasto[{spelled}]").instance
        call = guard.Call(
            strength=strength, budget_255=16, surrogate=judge.model, seed=0, class_word="painting", captions=captions
        )
        began = time.process_time()
        done = guard.run(protection, pixels, call)
        spent = (time.process_time() - began) / len(pixels)
        cells = [f"{value:.4f}" for value in judge.columns(done.images)]
        cells[6] = f"{float(cells[6]):.1f}"
        print(f"| {name} | {' | '.join(cells)} | {spent:.2f} |", flush=True)


if __name__ == "__main__":
    main()
