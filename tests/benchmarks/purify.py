"""What the countermeasures undo, on development artists: `python tests/benchmarks/purify.py [--part ...] [--images 2]`.

Protects images of each development artist by PhotoGuard at 16/255 (50 steps), cleans them by every setting in turn, and
prints markdown tables: how far the latent of mini-a still is from the clean image's (root mean square, in standard
deviations of the latent), PSNR and mini-lpips against the clean image, PSNR of the clean image cleaned in the same way,
processor seconds per image on one thread. `curves` prints IMPRESS's loss over the steps. Settings of the suites are
chosen here, never on the artists of `mini`.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from cloakbench import submissions
from cloakbench.attacks import catalogue
from cloakbench.attacks.context import Context
from cloakbench.attacks.countermeasures.impress import Impress
from cloakbench.datasets.artists import mini_artist
from cloakbench.images import Pixels, to_tensor
from cloakbench.models import autoencoders, loader
from cloakbench.submissions import guard
from cloakbench.suites import load as suites

ARTISTS = ("swirl", "crosshatch", "stained-glass", "stencil")
STEPS = (0, 10, 20, 30, 40, 60, 80, 120)
"""Where the loss is read; the last is how long it is optimised."""
IMPRESS = [{"learning_rate": rate, "noise": 0.0} for rate in (0.01, 0.03)]
SETTINGS: dict[str, list[dict[str, float | int | str]]] = {
    "jpeg": [{"quality": 75}],
    "blur": [{"kernel": 5, "sigma": 0.8}],
    "noise": [{"sigma": 0.05}],
    "resize": [{"scale": s, "filter": f} for s, f in itertools.product((0.75, 0.5), ("bicubic", "lanczos"))],
    "vae-trans": [{"vae": "mini-vae-c"}],
    "diffpure": [
        *({"purifier": "mini-purifier", "strength": s, "steps": 100} for s in (0.03, 0.05, 0.08)),
        {"model": "mini-a", "strength": 0.1, "steps": 20, "prompt": "a painting"},
    ],
    "noisy-upscale": [
        *(
            {"sigma": sigma, "purifier": "mini-purifier", "scale": scale, "strength": 0.04, "steps": 100}
            for sigma, scale in itertools.product((0.03, 0.05), (0.75, 0.85))
        ),
        {"sigma": 0.1, "model": "mini-a", "strength": 0.1, "steps": 20, "guidance": 3.0},
    ],
    "impress": [
        {"model": "mini-a", "steps": n, "learning_rate": rate, "noise": 0.0}
        for rate, n in itertools.product((0.01, 0.03), (20, 60))
    ],
}


@dataclass(frozen=True)
class Sample:
    """Clean images, the same protected, and their captions."""

    clean: list[Pixels]
    protected: list[Pixels]
    captions: list[str]

    def context(self) -> Context:
        return Context(range(len(self.clean)), self.captions, loader.load, loader.mini_lpips())


def sample(count: int) -> Sample:
    """Returns `count` images of each development artist, clean and protected."""
    suite, surrogate = suites.load("mini"), loader.load("mini-a").surrogate()
    pictures = Sample([], [], [])
    for name in ARTISTS:
        artist = mini_artist(name, suite)
        images, captions = artist.images[:count], artist.captions[:count]
        call = guard.Call(
            strength=1.0, budget_255=16, surrogate=surrogate, seed=0, class_word=suite.class_word, captions=captions
        )
        pictures.clean.extend(images)
        pictures.captions.extend(captions)
        pictures.protected.extend(guard.run(submissions.load("photoguard[steps=50]").instance, images, call).images)
    return pictures


@torch.no_grad()
def compared(clean: list[Pixels], other: list[Pixels]) -> str:
    """Returns the table cells that compare images with the clean ones: latent distance, PSNR, mini-lpips."""
    model, x, y = loader.load("mini-a"), to_tensor(clean), to_tensor(other)

    def latent(images: Tensor) -> Tensor:
        return torch.as_tensor(model.vae.encode(images * 2 - 1).latent_dist.mean * model.vae.config.scaling_factor)

    shift = (latent(x) - latent(y)).square().mean((1, 2, 3)).sqrt().mean()
    return f"{shift:.3f} | {psnr(clean, other):.1f} | {loader.mini_lpips()(x, y).mean():.3f}"


def psnr(clean: list[Pixels], other: list[Pixels]) -> float:
    error = (to_tensor(clean) - to_tensor(other)).square().mean((1, 2, 3))
    return float((-10 * error.log10()).mean())


def rows(name: str, pictures: Sample) -> Iterator[str]:
    """Yields a table row for every setting of a countermeasure."""
    for parameters in SETTINGS[name]:
        stage = catalogue.find("countermeasure", name).build(parameters)
        began = time.process_time()
        cleaned = stage.apply(pictures.protected, pictures.context())
        spent = (time.process_time() - began) / len(cleaned)
        hidden = {"model", "prompt"}
        settings = ", ".join(f"{key} {value}" for key, value in parameters.items() if key not in hidden)
        shift = compared(pictures.clean, cleaned)
        of_clean = psnr(pictures.clean, stage.apply(pictures.clean, pictures.context()))
        yield f"| `{name}` | {settings} | {shift} | {of_clean:.1f} | {spent:.2f} |"


def curves(pictures: Sample) -> None:
    """Prints IMPRESS's mean loss over the steps, a row per setting."""
    vae = autoencoders.load("mini-a", torch.device("cpu"), torch.float32)
    shown = [f"step {n}" for n in STEPS]
    print(f"| learning rate | noise | {' | '.join(shown)} | s per step and image |\n{'|---' * (len(shown) + 3)}|")
    for setting in IMPRESS:
        began = time.process_time()
        stage = Impress("mini-a", STEPS[-1] + 1, **setting)
        _, losses = stage.purify(to_tensor(pictures.protected), range(len(pictures.clean)), vae, loader.mini_lpips())
        spent = (time.process_time() - began) / losses.numel()
        read = " | ".join(f"{losses[n].mean():.4f}" for n in STEPS)
        print(f"| {setting['learning_rate']} | {setting['noise']} | {read} | {spent:.3f} |", flush=True)


def main() -> None:
    """Prints the tables of the parts named, all by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", nargs="*", choices=[*SETTINGS, "curves"], default=[*SETTINGS, "curves"])
    parser.add_argument("--images", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    pictures = sample(arguments.images)
    titles = ("countermeasure", "setting", "latent shift", "PSNR dB", "mini-lpips", "PSNR of clean", "s per image")
    print(f"| {' | '.join(titles)} |\n{'|---' * len(titles)}|")
    print(f"| none | | {compared(pictures.clean, pictures.protected)} | | |")
    for name in arguments.part:
        for row in rows(name, pictures) if name in SETTINGS else ():
            print(row, flush=True)
    if "curves" in arguments.part:
        curves(pictures)


if __name__ == "__main__":
    main()
