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
from cloakbench.models.mini.train.distil import Encode, LatentEncoder, perturbed, teacher_encoder
from cloakbench.models.mini.train.pool import to_pixels
from cloakbench.models.mini.train.run import Casting

BUDGET, STEPS = 8 / 255, 60
FROZEN = Path(__file__).parents[3] / "datasets" / "mini"
PAINTINGS = "van_gogh"
"""A folder of real paintings under the assets' `images`; no training uses them."""
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
    """One gate: the least value that a figure must have, and its measured value."""

    name: str
    required: float
    measured: float
    artist: str = "mean"

    @property
    def holds(self) -> bool:
        """Whether the measured value is at least the required one."""
        return self.measured >= self.required


def attacked(encode: Encode, x: Tensor, source: torch.Generator) -> Tensor:
    """Returns `x` in [0, 1] perturbed within 8/255 by 60 sign steps that maximise the change of `encode`'s latents."""
    rates = [torch.tensor(BUDGET / 4 * (1 - 0.9 * step / STEPS)) for step in range(STEPS)]
    return perturbed(encode, x, torch.tensor(BUDGET), rates, source)


@torch.no_grad()
def shift(encode: Encode, x: Tensor, y: Tensor, deviation: float) -> float:
    """Returns the root mean square distance of two batches' latents, in standard deviations."""
    return float((encode(x) - encode(y)).square().mean().sqrt()) / deviation


def _psnr(x: Tensor, y: Tensor) -> float:
    """Returns the mean over pictures of the peak signal-to-noise ratio in dB, both in [0, 1]."""
    return float((-10 * (x - y.clamp(0, 1)).square().mean((1, 2, 3)).log10()).mean())


def _mean_distance(distance: Distance | None, x: Tensor, y: Tensor) -> float:
    """Returns the mean of a distance over pictures, both in [0, 1]; not a number without a distance."""
    if distance is None:
        return float("nan")
    with torch.no_grad():
        return float(distance(x * 2 - 1, y.clamp(0, 1) * 2 - 1).mean())


def measure(
    artist: str, x: Tensor, vae: AutoencoderKL, model: AutoencoderTiny, distance: Distance | None = None
) -> Figures:
    """Returns one artist's figures over pictures `[n, 3, 128, 128]` in [0, 1]."""
    student: Encode = LatentEncoder(vae)
    teachers, source = teacher_encoder(model, Casting()), torch.Generator().manual_seed(len(artist))
    with torch.no_grad():
        target, latents = teachers(x), student(x)
        ours = vae.decode(latents / vae.config.scaling_factor).sample / 2 + 0.5
        theirs = model.decode(target).sample / 2 + 0.5
    deviation, spread = float(target.std()), float(latents.std())
    on_student, on_teacher = attacked(student, x, source), attacked(teachers, x, source)
    signs = (torch.rand(x.shape, generator=source) - 0.5).sign() * BUDGET
    return Figures(
        artist,
        error=float((latents - target).square().mean()) / deviation**2,
        shift=shift(student, x, on_student, spread),
        noise_shift=shift(student, x, (x + signs).clamp(0, 1), spread),
        teacher_shift=shift(teachers, x, on_teacher, deviation),
        transferred=shift(teachers, x, on_student, deviation),
        psnr=_psnr(x, ours),
        teacher_psnr=_psnr(x, theirs),
        lpips=_mean_distance(distance, x, ours),
        teacher_lpips=_mean_distance(distance, x, theirs),
    )


def pictures(count: int) -> Iterator[tuple[str, Tensor]]:
    """Yields each artist's name with `count` pictures: the frozen ones, and real paintings where they are here."""
    for style in styles.STYLES:
        if style.group != "training":
            folder = FROZEN / style.name.replace(" ", "-") / "references"
            yield style.name, _read(folder, count)
    paintings = Path(os.environ.get(teacher.ASSETS, "../shared/assets")) / "images" / PAINTINGS
    if paintings.is_dir():
        yield PAINTINGS, _read(paintings, count)
    else:
        print(json.dumps({"skipped": PAINTINGS, "reason": f"no folder {PAINTINGS} under {teacher.ASSETS}"}))


def _read(folder: Path, count: int) -> Tensor:
    images = []
    for path in sorted(folder.glob("*.png"))[:count]:
        images.append(np.asarray(Image.open(path).convert("RGB").resize((128, 128))))
    return to_pixels(np.stack(images))


def all_gates(figures: list[Figures]) -> list[Gate]:
    """Returns the gates: shifts and transfer in the mean, reconstruction on each artist (real paintings apart)."""
    real = [f for f in figures if f.artist == PAINTINGS]
    drawn = [f for f in figures if f.artist != PAINTINGS]
    gates: list[Gate] = []
    for name, group in (("artists", drawn), ("paintings", real)):
        if group:
            by_attack, by_noise = _mean(group, "shift"), _mean(group, "noise_shift")
            gates.append(Gate("shift", SHIFT, by_attack, name))
            gates.append(Gate("shift over noise's", SHIFT_OVER_NOISE, by_attack / by_noise, name))
            transfer = _mean(group, "transferred") / _mean(group, "teacher_shift")
            gates.append(Gate("transfer to the teacher", TRANSFER, transfer, name))
    gates += [Gate("dB above the teacher's", -DECIBELS, f.psnr - f.teacher_psnr, f.artist) for f in drawn]
    for f in drawn:
        if not math.isnan(f.lpips):
            gates.append(Gate("LPIPS under the teacher's", -SOFTNESS, f.teacher_lpips - f.lpips, f.artist))
    return gates


def _mean(figures: list[Figures], name: str) -> float:
    return float(np.mean([getattr(f, name) for f in figures]))


def rounded(values: dict[str, str | float]) -> dict[str, str | float]:
    """Returns the values with numbers rounded to four places."""
    rounded_values = values.copy()
    for name, value in values.items():
        if isinstance(value, float):
            rounded_values[name] = round(value, 4)
    return rounded_values


def main() -> None:
    """Prints the figures of every artist and the gates, one line of JSON each."""
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
        print(json.dumps(rounded(asdict(figures[-1]))))
    for gate in all_gates(figures):
        print(json.dumps({**asdict(gate), "measured": round(gate.measured, 3), "holds": gate.holds}))


if __name__ == "__main__":
    main()
