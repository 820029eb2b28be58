"""`python -m tests.benchmarks.megapixels` measures memory and time of a picture of 12 megapixels."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (4000, 3000)
VERBS = {
    "protect random-noise": ["protect", "random-noise", "--in", "pictures", "--out", "protected"],
    "clean jpeg": ["clean", "jpeg", "--in", "pictures", "--out", "jpeg"],
    "clean blur": ["clean", "blur", "--in", "pictures", "--out", "blur"],
    "measure psnr ssim gmsd": ["measure", "psnr", "ssim", "gmsd", "--image", "jpeg", "--reference", "pictures"],
}
CODE = """
import resource, sys
from cloakbench.cli import main
try:
    main()
finally:
    used = resource.getrusage(resource.RUSAGE_SELF)
    print("USED", used.ru_utime + used.ru_stime, used.ru_maxrss / 2**20, file=sys.stderr)
"""


def draw(path: Path) -> None:
    """Writes a smooth picture with grain, so that no codec has an easy time."""
    width, height = SIZE
    ramp = np.linspace(0, 1, width)[None, :, None] * np.linspace(0.2, 1, height)[:, None, None]
    grain = np.random.default_rng(0).normal(0, 0.02, (height, width, 3))
    Image.fromarray((np.clip(ramp + grain, 0, 1) * 255).astype(np.uint8)).save(path)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "pictures").mkdir()
        draw(Path(folder) / "pictures" / "photo.png")
        print("| verb | wall s | processor s | peak GiB |\n|---|---|---|---|")
        for name, arguments in VERBS.items():
            began = time.monotonic()
            done = subprocess.run(
                [sys.executable, "-c", CODE, *arguments], cwd=folder, capture_output=True, text=True, check=False
            )
            wall = time.monotonic() - began
            if done.returncode:
                print(f"| {name} | failed: {done.stderr.splitlines()[0]} | | |")
                continue
            _, processor, peak = done.stderr.splitlines()[-1].split()
            print(f"| {name} | {wall:.0f} | {float(processor):.0f} | {float(peak):.1f} |", flush=True)


if __name__ == "__main__":
    main()
