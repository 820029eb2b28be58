"""A suite for a user's own images, and calls that fail midway."""

from __future__ import annotations

import io

import numpy as np
import tiny
from PIL import Image

from cloakbench.errors import UserError

SUITE = tiny.TEXT.replace(
    "[mimicry.dreambooth]",
    """[countermeasures.jpeg]
quality = 40

[mimicry.lora]
rank = 2
alpha = 4.0
steps = 1
batch = 1
learning_rate = 1e-3

[mimicry.textual-inversion]
initial = "painting"
steps = 1
batch = 1
learning_rate = 1e-2

[mimicry.dreambooth]""",
)


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB"))


def as_jpeg(picture, quality):
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))


def fails_from(call, number, monkeypatch, owner, name):
    """Replaces a function by one that raises from its call of this number on."""
    calls = []

    def replacement(*arguments, **values):
        calls.append(arguments)
        if len(calls) >= number:
            raise UserError("expected a second one, got none", "Nothing helps.")
        return call(*arguments, **values)

    monkeypatch.setattr(owner, name, replacement)


def written_files(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
