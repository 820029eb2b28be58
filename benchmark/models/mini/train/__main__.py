"""`python -m benchmark.models.mini.train`: draws the data and trains every embedded model, resuming where it stopped."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmark.models.mini.train import autoencoder, data


def main() -> None:
    """Trains the stages named on the command line (all of them by default) in the folder `--work`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stages", nargs="*", default=["vae"])
    parser.add_argument("--work", type=Path, default=Path("training"))
    arguments = parser.parse_args()
    work: Path = arguments.work
    if "vae" in arguments.stages:
        pictures = data.joined(data.training(work), data.held_out(work))
        autoencoder.train_vae(pictures, work / "vae.pt").save_pretrained(work / "vae")


if __name__ == "__main__":
    main()
