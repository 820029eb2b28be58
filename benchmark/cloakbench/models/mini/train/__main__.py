"""`python -m cloakbench.models.mini.train` trains the embedded models in stages that go on where they stopped."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import torch

from cloakbench.models.mini.train import stages, table
from cloakbench.models.mini.train.drawing import Drawing
from cloakbench.models.mini.train.run import Run


def run(name: str, options: argparse.Namespace) -> None:
    """Trains one stage until its steps are done or its time is up."""
    stage = table.STAGES[name]
    drawing = Drawing(options.work / "pool", options.drawers, options.chunks, options.minutes)
    workers = drawing.start(stage.teacher) if stage.teacher else []
    weights = options.stages / f"{name}.safetensors"
    try:
        stage.train(
            table.StageContext(Run(name, options.work, weights, options.minutes, options.device), options.weights)
        )
    finally:
        for worker in workers:
            worker.terminate()


def parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    words = argparse.ArgumentParser(prog="python -m cloakbench.models.mini.train", description=__doc__)
    words.add_argument("names", nargs="*", default=list(table.STAGES), help=f"of {', '.join(table.STAGES)}")
    words.add_argument("--work", type=Path, default=Path("training"), help="checkpoints and drawn pictures")
    words.add_argument("--stages", type=Path, default=stages.FOLDER, help="half-precision weights to go on from")
    words.add_argument("--weights", type=Path, default=Path("training/weights"), help="where whole models are written")
    words.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    words.add_argument("--minutes", type=float, default=120.0, help="the most that one stage takes")
    words.add_argument("--drawers", type=int, default=max(1, (os.cpu_count() or 1) - 1), help="processes that draw")
    words.add_argument("--chunks", type=int, default=400, help="pictures to draw at most, in chunks of 128")
    words.add_argument("--threads", type=int, default=1, help="of the training itself, on a CPU")
    return words


def main() -> None:
    """Trains the stages named on the command line, all of them by default."""
    words = parser()
    options = words.parse_args()
    unknown = set(options.names) - set(table.STAGES)
    if unknown:
        words.error(f"expected stages of {', '.join(table.STAGES)}, got {', '.join(sorted(unknown))}")
    torch.set_num_threads(options.threads)
    for name in options.names:
        run(name, options)


if __name__ == "__main__":
    main()
