"""Draws what mimics paint after each protection, for the judge's training and its gates.

    python tests/benchmarks/judge_mimics.py --out FOLDER [--model FOLDER] [--part training|development]

A mimic (DreamBooth by the recipe of `mini`) learns eight pictures of a style after each protection. Its pictures are
written as one PNG per arm, `STYLE/ARM@LEVELS.png`, in which they stand side by side; an arm that is there is not drawn
again. `training` draws mimics of styles that the judge may learn from, `development` those that it is tested on.
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
from cloakbench.attacks import catalogue
from cloakbench.attacks.mimicry import sampling
from cloakbench.attacks.mimicry.personalised import Personalised, TrainingSet
from cloakbench.datasets.procedural import scenes, styles
from cloakbench.images import Pixels, to_tensor
from cloakbench.models import loader
from cloakbench.models.loader import BaseModel
from cloakbench.schemas.suite import Suite
from cloakbench.submissions import guard
from cloakbench.suites import load as suites

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


class Studio:
    """Draws arms with one base model by the recipes of one suite."""

    def __init__(self, suite: Suite, model: BaseModel, count: int) -> None:
        self.suite, self.model = suite, model
        per_prompt = -(-count // len(suite.sampling.prompts))
        self.prompts = (suite.sampling.prompts * per_prompt)[:count]

    def draw(self, arm: Arm) -> list[Pixels]:
        """Returns what the mimic of an arm paints."""
        mimic = Personalised(self.model) if arm.protection == "floor" else self._learn(arm)
        prompts = [text.format(token=self.suite.token, class_word=self.suite.class_word) for text in self.prompts]
        return sampling.generate(mimic, prompts, range(1000, 1000 + len(prompts)), self.suite.sampling)

    def _learn(self, arm: Arm) -> Personalised:
        subjects = list(scenes.SUBJECTS)[:IMAGES]
        pictures = [styles.paint(arm.style, name, [SEED, n]) for n, name in enumerate(subjects)]
        captions = [f"a painting of a {name} in the style of {self.suite.token}" for name in subjects]
        if arm.protection != "clean":
            call = guard.Call(
                strength=1.0,
                budget_255=arm.levels,
                surrogate=self.model.surrogate(),
                seed=0,
                class_word=self.suite.class_word,
                captions=captions,
            )
            protection = submissions.load(PROTECTIONS[arm.protection]).instance
            pictures = list(guard.run(protection, pictures, call).images)
        attack = catalogue.find("mimicry", "dreambooth").build(self.suite.mimicry["dreambooth"])
        examples = TrainingSet(
            to_tensor(pictures), captions, self.suite.token, self.suite.class_word, self.suite.sampling
        )
        learned: Personalised = attack.personalise(self.model, examples, seed=0)
        return learned


def main() -> None:
    """Draws the arms that are missing and prints how long each took."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--out", type=Path, required=True)
    words.add_argument("--model", default="mini-a", help="a name, or a folder of StableDiffusionPipeline")
    words.add_argument("--part", choices=("training", "development"), default="training")
    words.add_argument("--count", type=int, default=12, help="pictures of an arm")
    options = words.parse_args()
    torch.set_num_threads(1)
    studio = Studio(suites.load("mini"), loader.load(options.model), options.count)
    for arm in arms(options.part):
        path = options.out / arm.file
        if path.exists():
            continue
        began = time.process_time()
        pictures = studio.draw(arm)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.concatenate(pictures, axis=1)).save(path)
        print(f"{arm.file}: {time.process_time() - began:.0f} s of a core", flush=True)


if __name__ == "__main__":
    main()
