from __future__ import annotations

import numpy as np
import pytest
import tiny

from cloakbench.datasets import masks
from cloakbench.errors import UserError
from cloakbench.images import encode


def put(folder, name="a.jpg", size=(40, 60), mask=None):
    """An image file, with a mask beside it where one is given; returns the image's path."""
    (folder / "masks").mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(encode(tiny.picture(0, *size)))
    if mask is not None:
        (folder / "masks" / name).with_suffix(".png").write_bytes(encode(mask))
    return folder / name


def drawn(height=40, width=60, level=255):
    """The right half of the central square may be repainted."""
    mask = np.zeros((height, width), np.uint8)
    mask[:, width // 2 :] = level
    return mask


def test_a_mask_is_cropped_and_scaled_as_its_image(tmp_path):
    files = [put(tmp_path, "a.jpg", mask=drawn()), put(tmp_path, "b.png", mask=255 - drawn())]
    right, left = masks.beside(files, 20)
    expected = np.zeros((20, 20), np.uint8)
    expected[:, 10:] = 255
    assert right.dtype == np.uint8
    assert np.array_equal(right, expected)
    assert np.array_equal(left, 255 - expected)


def test_without_a_folder_of_masks_there_are_none(tmp_path):
    (tmp_path / "a.png").write_bytes(encode(tiny.picture(0)))
    assert masks.beside([tmp_path / "a.png"], 20) == ()


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (None, r"expected a mask at .*a\.png, got none"),
        (drawn(60, 40), "expected a mask of 60 x 40 pixels, got 40 x 60"),
        (drawn(level=1), "expected something to repaint in the central square of"),
    ],
    ids=["missing", "another size", "counts in ones"],
)
def test_a_wrong_mask_is_explained(tmp_path, mask, message):
    with pytest.raises(UserError, match=message) as caught:
        masks.beside([put(tmp_path, mask=mask)], 20)
    assert "255 is repainted" in caught.value.hint
