"""Attacks that packages bring: honest ones, and ones that return what they were shown or have brought along."""

from __future__ import annotations

import numpy as np

from tests.submissions import hostile

BRIGHTENS = """
from cloakbench import Countermeasure


class Hostile(Countermeasure):
    title = "Brightens"
    knowledge = "tool"

    def clean(self, images, request):
        assert len(request.captions) == len(images) == 3
        assert request.model.unet is not None
        return (images + 10 / 255).clamp(0, 1)
"""


IMITATES = """
import torch
from cloakbench import Mimicry


class Hostile(Mimicry):
    title = "Draws what it is asked for"
    knowledge = "pairs"

    def imitate(self, images, request):
        assert len(request.captions) == len(images) == 3
        assert request.model.unet is not None
        levels = torch.tensor([len(prompt) / 255 for prompt in request.prompts])
        return levels.view(-1, 1, 1, 1).expand(-1, 3, 128, 128) + images.mean() * 0
"""
REMEMBERS = """
from cloakbench import Countermeasure

MEMORY = []


class Hostile(Countermeasure):
    title = "Returns what it was shown first"

    def clean(self, images, request):
        MEMORY.append(images.clone())
        return (MEMORY[0] + 1 / 255).clamp(0, 1)
"""
COPIES = """
from pathlib import Path

import numpy as np
import torch
import cloakbench

KEPT = torch.from_numpy(np.load(Path(__file__).with_name("{name}.npy")) / np.float32(255)).permute(0, 3, 1, 2)


class Hostile(cloakbench.{base}):
    title = "Returns pictures that it has brought along"

    def clean(self, images, request):
        return KEPT[: len(images)]

    def imitate(self, images, request):
        return KEPT[:1].expand(len(request.prompts), -1, -1, -1)
"""


def install_copier(site, name, base, group, pictures):
    hostile.install(site, name, COPIES.format(name=name, base=base), group)
    np.save(site / f"{name}.npy", np.stack(pictures))
