"""Images, settings and circumstances for tests of countermeasures that run a model."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tiny

from cloakbench.attacks import catalogue
from cloakbench.attacks.context import Context
from cloakbench.images import Pixels
from cloakbench.models import loader
from cloakbench.models.loader import BaseModel

ASSETS = Path(os.environ.get("CLOAKBENCH_ASSETS", "../shared/assets"))
TAESD = str(ASSETS / "taesd" / "taesd")
PICTURES = [tiny.picture(0), tiny.picture(1), tiny.picture(2)]
SEEDS = (11, 12, 13)
IMPRESS = {"model": "mini-a", "steps": 4}
DIFFPURE = {"model": "mini-a", "strength": 0.5, "steps": 4, "prompt": "a painting"}
IN_PIXELS = {"purifier": "", "strength": 0.1, "steps": 40}
BY_MODEL = {"sigma": 0.1, "model": "mini-a", "strength": 0.5, "steps": 4, "guidance": 2.0}
SMALL = {"sigma": 0.1, "purifier": "", "strength": 0.1, "steps": 40, "scale": 0.75}
BY_UPSCALER = {"sigma": 0.1, "upscaler": "", "steps": 2, "guidance": 2.0}


def around(seeds: Sequence[int] = SEEDS, load: Callable[[str], BaseModel] = loader.load) -> Context:
    captions = tuple(f"a painting of {n} boats" for n in seeds)
    return Context(seeds, captions, load, loader.mini_lpips())


def build(name: str, **parameters: Any) -> Any:
    return catalogue.find("countermeasure", name).build(parameters)


def apart(a: Pixels, b: Pixels) -> int:
    """The largest difference of two 8-bit images, in levels."""
    return int(np.abs(a.astype(int) - b.astype(int)).max())
