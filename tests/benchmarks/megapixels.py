"""`python -m tests.benchmarks.megapixels` measures memory and time of one large picture in the verbs for own images."""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

VERBS = {
    "protect random-noise": ["protect", "random-noise", "--in", "pictures", "--out", "noise"],
    "clean jpeg": ["clean", "jpeg", "--in", "pictures", "--out", "jpeg"],
    "clean blur": ["clean", "blur", "--in", "pictures", "--out", "blur"],
    "clean noise": ["clean", "noise", "--in", "pictures", "--out", "noisy"],
    "clean resize": ["clean", "resize", "--in", "pictures", "--out", "resized"],
    "measure psnr": ["measure", "psnr", "--image", "cleaned", "--reference", "pictures"],
    "measure ssim": ["measure", "ssim", "--image", "cleaned", "--reference", "pictures"],
    "measure ms-ssim": ["measure", "ms-ssim", "--image", "cleaned", "--reference", "pictures"],
    "measure gmsd": ["measure", "gmsd", "--image", "cleaned", "--reference", "pictures"],
    "measure mini-lpips": ["measure", "mini-lpips", "--image", "cleaned", "--reference", "pictures"],
    "protect photoguard, 1 step": ["protect", "photoguard[steps=1]", "--in", "pictures", "--out", "guarded"],
}
CODE = """
import resource
from pathlib import Path
from cloakbench.cli import main

if (score := Path("/proc/self/oom_score_adj")).exists():
    score.write_text("1000")  # where memory runs out, this process ends and no other
try:
    main()
finally:
    # A submission computes in a process of its own.
    both = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    print(sum(used.ru_utime + used.ru_stime for used in both), max(used.ru_maxrss for used in both) / 2**20)
"""


def draw(folder: Path, megapixels: float) -> None:
    """Writes a smooth picture of 4 to 3 with grain, so that no codec has an easy time, and what JPEG makes of it."""
    width, height = round(1000 * (megapixels * 4 / 3) ** 0.5), round(1000 * (megapixels * 3 / 4) ** 0.5)
    ramp = np.linspace(0, 1, width)[None, :, None] * np.linspace(0.2, 1, height)[:, None, None]
    grain = np.random.default_rng(0).normal(0, 0.02, (height, width, 3))
    picture = Image.fromarray((np.clip(ramp + grain, 0, 1) * 255).astype(np.uint8))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=75)
    for name, saved in (("pictures", picture), ("cleaned", Image.open(buffer))):
        (folder / name).mkdir()
        saved.save(folder / name / "photo.png")


def measure(arguments: list[str], folder: str) -> str:
    """Runs a verb in a process of its own and returns the columns after its name."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", CODE, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    wall = time.monotonic() - began
    if done.returncode < 0:
        return f"{wall:.0f} | - | - | ended by signal {-done.returncode}"
    processor, peak = map(float, done.stdout.splitlines()[-1].split())
    note = done.stderr.splitlines()[0] if done.returncode else "done"
    return f"{wall:.0f} | {processor:.0f} | {peak:.1f} | {note}"


def main() -> None:
    """Prints one row per verb, as soon as it has ended."""
    options = argparse.ArgumentParser()
    options.add_argument("--megapixels", type=float, default=12)
    options.add_argument("--only", nargs="*", default=list(VERBS), help="rows to measure")
    arguments = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        draw(Path(folder), arguments.megapixels)
        print("| verb | load | wall s | processor s | peak GiB | end |\n|---|---|---|---|---|---|")
        for name in arguments.only:
            load = os.getloadavg()[0]
            print(f"| {name} | {load:.0f} | {measure(VERBS[name], folder)} |", flush=True)


if __name__ == "__main__":
    main()
