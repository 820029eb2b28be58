"""The smallest suite that goes the whole path, and entries, artists and digests to plan and run it with."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from cloakbench.cells.plan import FLOOR, PlannedEntry, Planner
from cloakbench.cells.recipes import Digests
from cloakbench.contract import Protection
from cloakbench.datasets.artists import Artist
from cloakbench.images import Pixels
from cloakbench.runs import session as sessions
from cloakbench.runs.choice import Choice
from cloakbench.schemas.record import ProtectionFacts
from cloakbench.schemas.suite import Suite

TEXT = """
name = "tiny"
version = 1
title = "Tiny"
description = "A suite for tests."
dataset = "mini"
artists = ["vellmar"]
images_per_artist = 3
class_word = "painting"
token = "sks"
caption = "a painting in the style of {token}"
surrogate = "mini-a"
budget_255 = 16
strengths = [0.5]
rank_by = "dreambooth"
threads = 1

[seeds]
protected = 1
controls = 1

[[attacks]]
name = "dreambooth"
mimicry = "dreambooth"
model = "mini-a"

[[attacks]]
name = "noise"
countermeasure = "noise"
mimicry = "dreambooth"
model = "mini-a"

[countermeasures.noise]
sigma = 0.05

[mimicry.dreambooth]
steps = 2
batch = 2
learning_rate = 3e-4

[sampling]
prompts = ["a painting of a boat in the style of {token}"]
per_prompt = 2
steps = 2
guidance = 3.0

[metrics]
primary = "style-distance"
quality = ["mini-lpips", "psnr", "linf"]
generation = ["style-accuracy"]
sets = ["frechet", "kid"]
"""

MATCHING = """
[matching]
metric = "linf"
targets = [4.0, 8.0, 12.0]
calibrated = [8.0]
tolerance = 0.5
artists = ["crosshatch", "stencil"]
images_per_artist = 1
"""
"""A target to end it with: strengths are sought for it."""

WHOLE = f"""edit_prompts = ["an oil {{class_word}} of a boat", "a {{class_word}} of rain"]
{TEXT}edit = ["edit-ssim", "edit-psnr"]

[[attacks]]
name = "chain"
countermeasure = "noise+blur"
mimicry = "lora"
model = "mini-b"

[[attacks]]
name = "edit"
mimicry = "edit"
model = "mini-a"

[countermeasures.blur]
kernel = 3
sigma = 0.8

[mimicry.lora]
rank = 2
alpha = 4.0
steps = 2
batch = 2
learning_rate = 1e-2

[mimicry.edit]
strength = 0.5
steps = 2
guidance = 2.0
scheduler = "ddim"
"""
"""The tiny suite with a chain of countermeasures, adapters, and editing."""

DIGESTS = Digests({"mini-a": "a" * 64, "mini-b": "b" * 64}, "c" * 64, "d" * 64)


def suite(**changes: object) -> Suite:
    """The tiny suite with some of its fields replaced."""
    return Suite.model_validate({**tomllib.loads(TEXT), **changes})


def planner(**changes: object) -> Planner:
    """A planner of the tiny suite; no weights are needed."""
    return Planner(suite(**changes), DIGESTS, "public")


def picture(seed: int, height: int = 128, width: int = 128) -> Pixels:
    """A smooth random picture without extreme values."""
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.uniform(60, 200, (1, 3, 6, 6)))
    soft = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")[0]
    return soft.permute(1, 2, 0).numpy().clip(30, 225).astype(np.uint8)


def artist(name: str = "vellmar", count: int = 3) -> Artist:
    """An artist of random pictures with four references."""
    return Artist(
        name,
        tuple(picture(n) for n in range(count)),
        ("a painting of a boat in the style of sks",) * count,
        tuple(picture(100 + n) for n in range(4)),
    )


class Brighter(Protection):
    """Adds the whole budget to every pixel, but for what the PNG clips."""

    title = "Brighter"

    def protect(self, images, request):
        return (images + int(request.epsilon * 255) / 255).clamp(0, 1)


class Darker(Brighter):
    """Takes the whole budget from every pixel."""

    title = "Darker"

    def protect(self, images, request):
        return (images - int(request.epsilon * 255) / 255).clamp(0, 1)


def entry(
    name: str, instance: Protection | None = None, role: str = "submission", version: str = "1.0"
) -> PlannedEntry:
    """An entry as an installed submission would make it."""
    facts = ProtectionFacts(
        name=name,
        version=version,
        distribution=f"{name}-package",
        package_digest="e" * 64,
        role=role,
        budget="linf",
        title=name,
        paper="",
        licence="",
        deterministic=True,
    )
    return PlannedEntry(facts, instance or Brighter())


FLOOR_ENTRY = PlannedEntry(FLOOR, None)


def session(path: Path, root: Path, entries: Sequence[PlannedEntry] = ()) -> sessions.Session:
    """A planned run of the suite at `path` into the store at `root`: controls, floor, and then `entries`."""
    planned = sessions.plan(Choice(str(path), ["placebo"]), root)
    loaded = list({id(cell.artist): cell.artist for cell in planned.cells}.values())
    more = planned.planner.cells(entries, loaded)
    return replace(planned, cells=[*planned.cells, *more])
