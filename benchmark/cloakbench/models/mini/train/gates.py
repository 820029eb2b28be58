"""Gates of an autoencoder: `python -m cloakbench.models.mini.train.gates [--suffix -xl]` measures and prints them."""

from __future__ import annotations

import argparse
import json
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from PIL import Image
from torch import Tensor

from cloakbench.datasets.procedural import styles
from cloakbench.models.mini.train import assemble, stages, teacher
from cloakbench.models.mini.train.distil import Encode, Student, teaching
from cloakbench.models.mini.train.pool import to_pixels
from cloakbench.models.mini.train.run import Casting

BUDGET, STEPS = 8 / 255, 60
FROZEN = Path(__file__).parents[3] / "datasets" / "mini"
PAINTINGS = "van_gogh"
"""A folder of real paintings under the assets' `images`, which no training has seen."""
SHIFT, SHIFT_OVER_NOISE, TRANSFER, DECIBELS = 0.95, 3.5, 0.75, 1.0
SOFTNESS = 0.05
"""LPIPS that a reconstruction may have above the teacher's: decibels alone pass pictures that are visibly blurred."""
Distance = Callable[[Tensor, Tensor], Tensor]
"""From two batches in [-1, 1] to how differently each pair looks."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One artist's means: latents in units of the teacher's standard deviation, reconstructions in dB."""

    artist: str
    error: float
    """Squared error of the student's latents over the variance of the teacher's."""
    shift: float
    """Root mean square shift of the student's latent by an attack on the student."""
    noise_shift: float
    """The same by random signs of the same budget."""
    teacher_shift: float
    """Shift of the teacher's latent by an attack on the teacher."""
    transferred: float
    """Shift of the teacher's latent by the attack on the student."""
    psnr: float
    teacher_psnr: float
    lpips: float
    """Of the reconstruction; not a number where no distance is at hand, as the next."""
    teacher_lpips: float


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate: what is wanted of a figure, and what it is."""

    name: str
    wanted: float
    measured: float
    artist: str = "mean"

    @property
    def holds(self) -> bool:
        """Whether the figure reaches what is wanted."""
        return self.measured >= self.wanted


def attacked(encode: Encode, x: Tensor, source: torch.Generator) -> Tensor:
    """Returns `x` in [0, 1] moved within 8/255 by 60 sign steps so that `encode`'s latents go far."""
    with torch.no_grad():
        start = encode(x)
    delta = (torch.rand(x.shape, generator=source) * 2 - 1) * BUDGET
    for step in range(STEPS):
        delta.requires_grad_(True)
        moved = encode((x + delta).clamp(0, 1))
        (gradient,) = torch.autograd.grad((moved - start).square().sum(), delta)
        rate = BUDGET / 4 * (1 - 0.9 * step / STEPS)
        delta = (delta.detach() + rate * gradient.sign()).clamp(-BUDGET, BUDGET)
    return (x + delta).clamp(0, 1).detach()


@torch.no_grad()
def shift(encode: Encode, x: Tensor, y: Tensor, deviation: float) -> float:
    """Returns the root mean square distance of two batches' latents, in standard deviations."""
    return float((encode(x) - encode(y)).square().mean().sqrt()) / deviation


def _psnr(x: Tensor, y: Tensor) -> float:
    """Returns the mean over pictures of the peak signal-to-noise ratio in dB, both in [0, 1]."""
    return float((-10 * (x - y.clamp(0, 1)).square().mean((1, 2, 3)).log10()).mean())


def _seen(distance: Distance | None, x: Tensor, y: Tensor) -> float:
    """Returns the mean of a distance over pictures, both in [0, 1]."""
    if distance is None:
        return float("nan")
    with torch.no_grad():
        return float(distance(x * 2 - 1, y.clamp(0, 1) * 2 - 1).mean())


def measure(
    artist: str, x: Tensor, vae: AutoencoderKL, model: AutoencoderTiny, distance: Distance | None = None
) -> Figures:
    """Returns one artist's figures over pictures `[n, 3, 128, 128]` in [0, 1]."""
    student: Encode = Student(vae)
    taught, source = teaching(model, Casting()), torch.Generator().manual_seed(len(artist))
    with torch.no_grad():
        wanted, got = taught(x), student(x)
        ours = vae.decode(got / vae.config.scaling_factor).sample / 2 + 0.5
        theirs = model.decode(wanted).sample / 2 + 0.5
    deviation, spread = float(wanted.std()), float(got.std())
    on_student, on_teacher = attacked(student, x, source), attacked(taught, x, source)
    signs = (torch.rand(x.shape, generator=source) - 0.5).sign() * BUDGET
    return Figures(
        artist,
        error=float((got - wanted).square().mean()) / deviation**2,
        shift=shift(student, x, on_student, spread),
        noise_shift=shift(student, x, (x + signs).clamp(0, 1), spread),
        teacher_shift=shift(taught, x, on_teacher, deviation),
        transferred=shift(taught, x, on_student, deviation),
        psnr=_psnr(x, ours),
        teacher_psnr=_psnr(x, theirs),
        lpips=_seen(distance, x, ours),
        teacher_lpips=_seen(distance, x, theirs),
    )


def pictures(count: int) -> Iterator[tuple[str, Tensor]]:
    """Yields each artist's name with `count` pictures: the frozen ones, and real paintings where they are here."""
    for style in (s for s in styles.STYLES if s.group != "training"):
        folder = FROZEN / style.name.replace(" ", "-") / "references"
        yield style.name, _read(folder, count)
    paintings = Path(os.environ.get(teacher.ASSETS, "../shared/assets")) / "images" / PAINTINGS
    if paintings.is_dir():
        yield PAINTINGS, _read(paintings, count)
    else:
        print(json.dumps({"skipped": PAINTINGS, "reason": f"no folder {PAINTINGS} under {teacher.ASSETS}"}))


def _read(folder: Path, count: int) -> Tensor:
    images = [Image.open(path).convert("RGB").resize((128, 128)) for path in sorted(folder.glob("*.png"))[:count]]
    return to_pixels(np.stack([np.asarray(image) for image in images]))


def gates(figures: list[Figures]) -> list[Gate]:
    """Returns the gates: shifts and transfer in the mean, reconstruction on each artist (real paintings apart)."""
    real = [f for f in figures if f.artist == PAINTINGS]
    drawn = [f for f in figures if f.artist != PAINTINGS]
    judged: list[Gate] = []
    for name, group in (("artists", drawn), ("paintings", real)):
        if group:
            moved, noisy = _mean(group, "shift"), _mean(group, "noise_shift")
            judged.append(Gate("shift", SHIFT, moved, name))
            judged.append(Gate("shift over noise's", SHIFT_OVER_NOISE, moved / noisy, name))
            carried = _mean(group, "transferred") / _mean(group, "teacher_shift")
            judged.append(Gate("transfer to the teacher", TRANSFER, carried, name))
    judged += [Gate("dB above the teacher's", -DECIBELS, f.psnr - f.teacher_psnr, f.artist) for f in drawn]
    seen = [f for f in drawn if not math.isnan(f.lpips)]
    judged += [Gate("LPIPS under the teacher's", -SOFTNESS, f.teacher_lpips - f.lpips, f.artist) for f in seen]
    return judged


def _mean(figures: list[Figures], name: str) -> float:
    return float(np.mean([getattr(f, name) for f in figures]))


def main() -> None:
    """Prints the figures of every artist and the gates, a line of JSON each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stages", type=Path, default=stages.FOLDER)
    parser.add_argument("--suffix", default="", choices=("", "-xl"))
    parser.add_argument("--count", type=int, default=4, help="pictures of each artist")
    options = parser.parse_args()
    torch.set_num_threads(1)
    vae = assemble.autoencoder(options.stages, options.suffix)
    model = teacher.load("taesdxl" if options.suffix else "taesd")
    figures, distance = [], teacher.perceptual()
    for artist, x in pictures(options.count):
        figures.append(measure(artist, x, vae, model, distance))
        print(json.dumps({name: round(v, 4) if isinstance(v, float) else v for name, v in asdict(figures[-1]).items()}))
    for gate in gates(figures):
        print(json.dumps({**asdict(gate), "measured": round(gate.measured, 3), "holds": gate.holds}))


if __name__ == "__main__":
    main()
