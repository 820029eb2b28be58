from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from cloakbench.datasets.procedural import styles
from cloakbench.models.mini.train import ruins, viewer, viewer_batches, viewer_material, viewer_variety
from cloakbench.models.mini.viewer import Viewer


@pytest.fixture(scope="module")
def material():
    rng = np.random.default_rng(0)
    length = viewer_material.REFERENCES + viewer_material.OWN
    drawn = rng.integers(0, 256, (3 * length, 128, 128, 3), np.uint8)
    style = np.repeat([2, 9, 13], length)  # poster, duotone, gouache
    groups = drawn.reshape(3, length, 128, 128, 3)
    return viewer_material.TrainingPictures(drawn, style, drawn, style, groups, drawn[:4], drawn[4:8])


def test_the_same_step_has_the_same_batch(material):
    batches = viewer_batches.Batches(material, 5)
    first, again, other = batches.draw(3), batches.draw(3), batches.draw(4)
    assert torch.equal(first.pixels, again.pixels)
    assert not torch.equal(first.pixels, other.pixels)
    assert 0 <= float(first.pixels.min()) <= float(first.pixels.max()) <= 1
    assert sum(len(part) for part in first.split(first.pixels)) == len(first.pixels)


def test_only_the_further_pictures_of_a_reconstructed_group_go_through_the_autoencoder(material):
    def inverted(pixels):
        return SimpleNamespace(sample=-pixels)

    rows = viewer_material.by_style(material.style)
    groups = viewer_material.reconstructed_groups(inverted, material.drawn, rows, 2, np.random.default_rng(6))
    rng = np.random.default_rng(6)
    for group in groups:
        pictures = np.rint(np.stack(viewer_material.varied_group(material.drawn, rows, rng)) * 255)
        assert np.array_equal(group[: viewer_material.REFERENCES], pictures[: viewer_material.REFERENCES])
        assert np.array_equal(group[viewer_material.REFERENCES :], 255 - pictures[viewer_material.REFERENCES :])


def test_the_error_falls_along_its_gradient(material):
    torch.manual_seed(0)
    model, batch = Viewer().train(), viewer_batches.Batches(material, 5).draw(0)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    errors = []
    for _ in range(3):
        error = viewer.loss(model(batch.pixels), batch)
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(float(error.detach()))
    assert errors[-1] < errors[0]


@pytest.mark.parametrize("kind", sorted(ruins.RUINS | ruins.HELD_OUT))
def test_a_ruin_is_a_picture_of_its_size_and_follows_from_its_seed(kind):
    image = styles.paint("poster", "boat", [1]).astype(np.float32) / 255
    ruin = (ruins.RUINS | ruins.HELD_OUT)[kind]
    first, again = (ruin(image, np.random.default_rng(2)) for _ in range(2))
    assert first.shape == image.shape
    assert np.array_equal(first, again)
    assert first.min() >= 0
    assert first.max() <= 1
    assert np.abs(first - image).mean() > 0.05


@pytest.mark.parametrize("kind", sorted(ruins.DEGRADATIONS | ruins.HELD_OUT_DEGRADATIONS))
def test_a_higher_grade_changes_more(kind):
    image = styles.paint("poster", "boat", [1]).astype(np.float32) / 255
    degrade = (ruins.DEGRADATIONS | ruins.HELD_OUT_DEGRADATIONS)[kind]
    changes = []
    for grade in (0.2, 0.6, 1.0):
        changes.append(np.square(degrade(image, grade, np.random.default_rng(2)) - image).mean())
    assert changes == sorted(changes)


def test_held_out_kinds_are_not_among_those_of_the_training():
    assert not set(ruins.RUINS) & set(ruins.HELD_OUT)
    assert not set(ruins.DEGRADATIONS) & set(ruins.HELD_OUT_DEGRADATIONS)


@pytest.mark.parametrize("marks", viewer_variety.MARKS, ids=lambda marks: marks.__name__)
def test_other_marks_change_a_picture_and_stay_in_range(marks):
    image = styles.paint("gouache", "boat", [1]).astype(np.float32) / 255
    for value in (0.1, 0.5, 0.9):
        changed = marks(image, value, np.random.default_rng(3))
        assert changed.shape == image.shape
        assert 0 <= changed.min() <= changed.max() <= 1
        assert np.abs(changed - image).mean() > 0.003


def test_colours_of_another_picture_are_taken_over():
    image, other = (styles.paint(name, "boat", [1]).astype(np.float32) / 255 for name in ("duotone", "oil"))
    changed = viewer_variety.with_colours_of(image, other)
    assert np.abs(changed.mean((0, 1)) - other.mean((0, 1))).max() < 0.06
