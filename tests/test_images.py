from __future__ import annotations

import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import ExifTags, Image, ImageFile

from cloakbench import image_files, images

pictures = hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)))


@given(pictures)
def test_png_keeps_every_pixel(pixels):
    assert np.array_equal(image_files.decode(images.encode(pixels)), pixels)


@given(pictures)
def test_tensors_keep_every_pixel(pixels):
    tensor = images.to_tensor([pixels])
    assert tensor.shape == (1, 3, *pixels.shape[:2])
    assert np.array_equal(images.quantise(tensor)[0], pixels)


@pytest.mark.parametrize(
    ("value", "level"),
    [(0, 0), (1, 255), (-0.2, 0), (1.2, 255), (10.49 / 255, 10), (10.51 / 255, 11), (254.6 / 255, 255)],
)
def test_quantise_rounds_to_the_nearest_level(value, level):
    assert images.quantise(torch.full((1, 3, 2, 2), value))[0].tolist() == [[[level] * 3] * 2] * 2


def test_a_digest_is_of_pixels_and_shape_only():
    pixels = tiny.picture(0)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=9, pnginfo=None)
    assert buffer.getvalue() != images.encode(pixels)
    assert images.digest(image_files.decode(buffer.getvalue())) == images.digest(pixels)
    assert images.digest(pixels.reshape(64, 256, 3)) != images.digest(pixels)
    changed = pixels.copy()
    changed[5, 5, 1] ^= 1
    assert images.digest(changed) != images.digest(pixels)
    assert images.digest(pixels.transpose(1, 0, 2)) == images.digest(np.ascontiguousarray(pixels.transpose(1, 0, 2)))


def test_no_damage_of_a_png_goes_unnoticed_as_another_error():
    """Any byte flipped: either a ValueError, or pixels (which the digest then judges)."""
    data = images.encode(tiny.picture(0, 6, 6))
    refused = 0
    for byte_number in range(len(data)):
        damaged = bytearray(data)
        damaged[byte_number] ^= 0xFF
        try:
            image_files.decode(bytes(damaged))
        except ValueError:
            refused += 1
    assert refused > len(data) / 2


@given(pictures)
def test_a_promised_png_is_read_to_the_pixel(pixels):
    assert np.array_equal(images.decode_png(images.encode(pixels), pixels.shape[0] * pixels.shape[1]), pixels)


def saved(image: Image.Image, form: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no picture",
        saved(Image.new("RGB", (4, 4)), "BMP"),
        saved(Image.new("RGB", (4, 4)), "TIFF"),
        saved(Image.new("RGBA", (4, 4))),
        saved(Image.new("L", (4, 4))),
        saved(Image.new("P", (4, 4))),
        saved(Image.new("I;16", (4, 4))),
        saved(Image.new("RGB", (4, 4)), save_all=True, append_images=[Image.new("RGB", (4, 4), "red")]),
        images.encode(tiny.picture(0, 8, 8))[:-30],
    ],
)
def test_what_is_no_promised_png_is_refused(data):
    with pytest.raises(ValueError, match="expected"):
        images.decode_png(data, 100)


@pytest.mark.finding("B8")
def test_the_size_of_a_promised_png_is_asked_before_decoding(monkeypatch):
    data = images.encode(tiny.picture(0, 20, 20))
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda *_: pytest.fail("decoded"))
    with pytest.raises(ValueError, match="at most 399 pixels, got 20 x 20"):
        images.decode_png(data, 399)
    for side in (13_312, 60_000):
        with pytest.raises(ValueError, match="expected"):
            images.decode_png(with_side(data, 20, side), 2048 * 2048)


def with_side(data: bytes, side: int, other: int) -> bytes:
    """Returns a square PNG whose header says another side, with the checksum that belongs to it."""
    header = b"IHDR" + struct.pack(">II", other, other) + data[24:29]
    assert data[12:24] == b"IHDR" + struct.pack(">II", side, side)
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


def turned() -> bytes:
    """Returns a PNG of 4 x 8 pixels that EXIF data ask to turn (A8)."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    return saved(Image.new("RGB", (4, 8)), exif=exif)


@pytest.mark.finding("A7", "A8")
@pytest.mark.parametrize(
    "data",
    [
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n",
        saved(Image.new("RGB", (4, 4)), "EPS"),
        saved(Image.new("RGB", (4, 4)), "BMP"),
        turned(),
    ],
)
def test_what_is_no_promised_png_is_refused_undecoded(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda *_: pytest.fail("decoded"))
    with pytest.raises(ValueError, match="expected"):
        images.decode_png(data, 100)


def test_no_damage_of_a_promised_png_goes_unnoticed_as_another_error():
    data = images.encode(tiny.picture(0, 6, 6))
    for index in range(len(data)):
        damaged = bytearray(data)
        damaged[index] ^= 0xFF
        with contextlib.suppress(ValueError):
            assert images.decode_png(bytes(damaged), 36).shape[2] == 3


def test_fit_square_takes_the_middle():
    pixels = np.zeros((30, 90, 3), np.uint8)
    pixels[:, 30:60] = 200
    assert (images.fit_square(pixels, 30) == 200).all()
    assert images.fit_square(pixels.transpose(1, 0, 2), 16).shape == (16, 16, 3)
    odd = images.fit_square(tiny.picture(1, 93, 131), 128)
    assert odd.shape == (128, 128, 3)


def test_a_square_of_the_right_size_is_left_alone():
    pixels = tiny.picture(2, 32, 32)
    assert np.array_equal(images.fit_square(pixels, 32), pixels)


def test_budget_by_hand():
    #  changes: +3, -4, 255 in three of the twelve values
    before = np.zeros((2, 2, 3), np.uint8)
    before[0, 0] = [10, 10, 0]
    after = before.copy()
    after[0, 0] = [13, 6, 255]
    budget = images.measure_budget(before, after)
    assert budget.max_255 == 255
    assert budget.mean_255 == pytest.approx((3 + 4 + 255) / 12)
    assert budget.l2_255 == pytest.approx((9 + 16 + 255**2) ** 0.5)
    assert images.measure_budget(after, before) == budget
