"""What the mimic's speed is measured on: the same model, pictures and recipes for ours and for the plain loops."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import plain_loops
import random_sd15
import torch
from PIL import Image
from plain_loops import LoopJob

from cloakbench.attacks import catalogue
from cloakbench.attacks.mimicry import dreambooth
from cloakbench.attacks.mimicry.personalised import Personalised, TrainingSet
from cloakbench.datasets.artists import mini_artist
from cloakbench.images import Pixels, to_tensor
from cloakbench.models import loader
from cloakbench.models.loader import BaseModel
from cloakbench.schemas.suite import Suite
from cloakbench.suites import load as suites

PLAIN: dict[str, Callable[[LoopJob], list[float]]] = {
    "dreambooth": plain_loops.dreambooth,
    "lora": plain_loops.lora,
    "textual-inversion": plain_loops.textual_inversion,
}
ARTIST = "stencil"
"""A development style; which pictures they are does not change the time."""
DEFAULTS: dict[str, dict[str, Any]] = {
    "dreambooth": {"prior_weight": 1.0, "class_images": 16},
    "lora": {},
    "textual-inversion": {"initial": "painting", "batch": 4, "learning_rate": 5e-3},
}
"""For what a suite leaves out."""


@dataclass(frozen=True)
class Bench:
    """What both arms train on; `folder` holds the pictures of the artist and of the class as files."""

    model: BaseModel
    suite: Suite
    data: TrainingSet
    folder: Path

    def settings(self, name: str, steps: int) -> dict[str, Any]:
        """Returns the suite's recipe with another number of steps; DreamBooth always preserves its prior."""
        return {**DEFAULTS[name], **self.suite.mimicry.get(name, {}), "steps": steps}

    def ours(self, name: str, steps: int) -> Personalised:
        """Trains by the attack that the suite would take."""
        attack = catalogue.find("mimicry", name).build(self.settings(name, steps))
        trained: Personalised = attack.personalise(self.model, self.data, seed=0)
        return trained

    def plain(self, name: str, steps: int) -> list[float]:
        """Trains by the plain loop."""
        job = LoopJob(
            model=self.model,
            pictures=self.folder / "artist",
            captions=self.data.captions,
            class_pictures=self.folder / "class",
            class_caption=f"a {self.data.class_word}",
            token=self.data.token,
            side=self.data.images.shape[-1],
            steps=steps,
            settings=self.settings(name, steps),
        )
        return PLAIN[name](job)


@contextmanager
def bench(model: BaseModel, suite: Suite, images: list[Pixels], captions: list[str]) -> Iterator[Bench]:
    """Yields what to train on. Class pictures are made up: the model's own would take minutes and train no faster."""
    count = int({**DEFAULTS["dreambooth"], **suite.mimicry["dreambooth"]}["class_images"])
    classes = pictures(count, len(images[0]), seed=0)
    data = TrainingSet(to_tensor(images), captions, suite.token, suite.class_word, suite.sampling)
    drawn = mock.patch.object(dreambooth, "class_pictures", return_value=classes)
    with tempfile.TemporaryDirectory() as folder, drawn:
        for name, shown in (("artist", images), ("class", classes)):
            (Path(folder) / name).mkdir()
            for n, pixels in enumerate(shown):
                Image.fromarray(pixels).save(Path(folder) / name / f"{n:03}.png")
        yield Bench(model, suite, data, Path(folder))


def pictures(count: int, side: int, seed: int) -> list[Pixels]:
    """Returns patches of colour with a little grain: files of them are read about as fast as those of paintings."""
    rng = np.random.default_rng(seed)
    batches = []
    for _ in range(count):
        patches = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        smooth = np.asarray(patches.resize((side, side), Image.Resampling.BICUBIC), dtype=np.int16)
        grain = rng.integers(-4, 5, smooth.shape)
        batches.append((smooth + grain).clip(0, 255).astype(np.uint8))
    return batches


def mini(alias: str, device: torch.device) -> tuple[BaseModel, Suite, list[Pixels], list[str]]:
    """Returns an embedded model with the pictures of an artist, as a cell of `mini` has them."""
    suite = suites.load("mini")
    artist = mini_artist(ARTIST, suite)
    return loader.load(alias, str(device)), suite, list(artist.images), list(artist.captions)


def sd15(device: torch.device, tiny: bool) -> tuple[BaseModel, Suite, list[Pixels], list[str]]:
    """Returns Stable Diffusion 1.5 with random weights, and as many pictures as `painting` has of an artist.

    A `tiny` one is narrow, and there are two pictures.
    """
    suite = suites.load("painting")
    size = random_sd15.NARROW if tiny else random_sd15.REAL
    images = pictures(2 if tiny else suite.images_per_artist, size.latent * 8, seed=1)
    caption = suite.caption.format(token=suite.token)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(0)
        return random_sd15.build(size, device, torch.bfloat16), suite, images, [caption] * len(images)
