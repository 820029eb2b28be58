"""Generates images by mimics after each protection, for the judge's training and its gates.

    python -m tests.benchmarks.judge_mimics --out FOLDER [--model FOLDER] [--part training|development]

A mimic (DreamBooth by the recipe of `mini`) is trained on eight pictures of a style after each protection. Its images
are written side by side as one PNG per arm, `STYLE/ARM@LEVELS.png`; an arm whose file exists is skipped. `training`
has styles that the judge may be trained on, `development` those that it is tested on.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from cloakbench import submissions
from cloakbench.attacks.mimicry.personalised import Personalised
from cloakbench.datasets.procedural import scenes, styles
from cloakbench.images import Pixels
from cloakbench.models import loader
from cloakbench.models.loader import BaseModel
from cloakbench.schemas.suite import Suite
from cloakbench.submissions import guard
from cloakbench.suites import load as suites
from tests.benchmarks import mimics

PROTECTIONS = {
    "clean": "",
    "random-noise": "random-noise",
    "advdm": "advdm[steps=40]",
    "anti-dreambooth": "anti-dreambooth[steps=36]",
    "mist": "mist[steps=40]",
    "photoguard": "photoguard[steps=40]",
}
"""What protects in each arm; fewer steps than on a board, because the look of the ruin does not depend on them."""
TRAINING = (
    ("oil", ("clean@0", "advdm@32", "photoguard@32")),
    ("poster", ("photoguard@48", "advdm@24", "clean@0")),
    ("woodcut", ("advdm@48", "photoguard@24")),
)
"""Arms that the judge may learn from: training styles, two protections. Mist and Anti-DreamBooth are for gate 4."""
_FIRST = ("floor@0", "clean@0", "advdm@32", "photoguard@32", "mist@32", "anti-dreambooth@32")
_SECOND = ("random-noise@32", "advdm@16", "photoguard@16", "random-noise@16")
DEVELOPMENT = (
    ("swirl", _FIRST),
    ("ostrava", _FIRST),
    ("swirl", _SECOND),
    ("ostrava", _SECOND),
    ("stencil", _FIRST),
)
"""Arms that the judge is tested on; floor first, because every figure needs it."""
IMAGES, SEED = 8, 110


@dataclass(frozen=True, slots=True)
class Arm:
    """One mimic: the style that it learns, and what protected the pictures that it learns from."""

    style: str
    protection: str
    levels: int

    @property
    def file(self) -> Path:
        """Where its pictures are written, below the output folder."""
        return Path(self.style.replace(" ", "-")) / f"{self.protection}@{self.levels}.png"


def arms(part: str) -> Iterator[Arm]:
    """Yields the arms of `training` or `development` in the order in which they are drawn."""
    for style, names in TRAINING if part == "training" else DEVELOPMENT:
        for name in names:
            protection, _, levels = name.partition("@")
            yield Arm(style, protection, int(levels))


def generate(suite: Suite, model: BaseModel, arm: Arm, count: int) -> list[Pixels]:
    """Returns `count` images by the mimic of an arm, over the suite's prompts in turn."""
    mimic = Personalised(model) if arm.protection == "floor" else _learn(suite, model, arm)
    per_prompt = -(-count // len(suite.sampling.prompts))
    return mimics.generate(mimic, suite, (suite.sampling.prompts * per_prompt)[:count])


def _learn(suite: Suite, model: BaseModel, arm: Arm) -> Personalised:
    subjects = list(scenes.SUBJECTS)[:IMAGES]
    pictures = [styles.paint(arm.style, name, [SEED, n]) for n, name in enumerate(subjects)]
    texts = mimics.captions(suite, subjects)
    if arm.protection != "clean":
        call = guard.Call(
            strength=1.0,
            budget_255=arm.levels,
            surrogate=model.surrogate(),
            seed=0,
            class_word=suite.class_word,
            captions=texts,
        )
        protection = submissions.load(PROTECTIONS[arm.protection]).instance
        pictures = list(guard.run(protection, pictures, call).images)
    return mimics.learn(model, suite, "dreambooth", pictures, texts, seed=0)


def main() -> None:
    """Draws the arms that are missing and prints how long each took."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--out", type=Path, required=True)
    words.add_argument("--model", default="mini-a", help="a name, or a folder of StableDiffusionPipeline")
    words.add_argument("--part", choices=("training", "development"), default="training")
    words.add_argument("--count", type=int, default=12, help="pictures of an arm")
    options = words.parse_args()
    torch.set_num_threads(1)
    suite, model = suites.load("mini"), loader.load(options.model)
    for arm in arms(options.part):
        path = options.out / arm.file
        if path.exists():
            continue
        began = time.process_time()
        pictures = generate(suite, model, arm, options.count)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.concatenate(pictures, axis=1)).save(path)
        print(f"{arm.file}: {time.process_time() - began:.0f} s of a core", flush=True)


if __name__ == "__main__":
    main()
