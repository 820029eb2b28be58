from __future__ import annotations

import io

import numpy as np
import pytest
import tiny
from PIL import Image
from scipy import ndimage

from cloakbench.attacks import catalogue
from cloakbench.attacks.context import Context
from cloakbench.errors import UserError
from cloakbench.models import loader


def build(name, **parameters):
    return catalogue.find("countermeasure", name).build(parameters)


def seeded(*seeds):
    """A context for what needs no model."""
    return Context(seeds, ("",) * len(seeds), loader.load, loader.mini_lpips)


def compressed(pixels, **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="JPEG", **options)
    return np.asarray(Image.open(io.BytesIO(buffer.getvalue())).convert("RGB"))


@pytest.mark.parametrize(("quality", "subsampling"), [(75, 2), (75, 0), (30, 1), (95, 2)])
def test_jpeg_is_pillows_byte_for_byte(quality, subsampling):
    pictures = [tiny.picture(0), tiny.picture(1, 93, 131)]
    cleaned = build("jpeg", quality=quality, subsampling=subsampling).apply(pictures, seeded(1, 2))
    for picture, result in zip(pictures, cleaned, strict=True):
        assert np.array_equal(result, compressed(picture, quality=quality, subsampling=subsampling))
        assert not np.array_equal(result, picture)


def test_jpeg_defaults_to_pillows_subsampling():
    picture = tiny.picture(0)
    [cleaned] = build("jpeg", quality=75).apply([picture], seeded(1))
    assert np.array_equal(cleaned, compressed(picture, quality=75))


def test_blur_of_an_impulse_is_the_window():
    pixels = np.zeros((11, 11, 3), np.uint8)
    pixels[5, 5] = 255
    [cleaned] = build("blur", kernel=5, sigma=0.8).apply([pixels], seeded(1))
    line = np.exp(-np.array([4.0, 1, 0, 1, 4]) / (2 * 0.8**2))
    window = np.outer(line, line) / line.sum() ** 2 * 255
    expected = np.zeros((11, 11))
    expected[3:8, 3:8] = np.rint(window)
    for channel in range(3):
        assert np.array_equal(cleaned[..., channel], expected)


def test_blur_is_scipys_on_a_window_of_its_size():
    picture = tiny.picture(0, 40, 61)
    [cleaned] = build("blur", kernel=5, sigma=0.8).apply([picture], seeded(1))
    soft = ndimage.gaussian_filter(picture.astype(float), (0.8, 0.8, 0), mode="mirror", truncate=2 / 0.8)
    assert np.array_equal(cleaned, np.rint(soft))


@pytest.mark.parametrize("level", [0, 7, 128, 255])
def test_blur_keeps_constants(level):
    pixels = np.full((9, 14, 3), level, np.uint8)
    [cleaned] = build("blur", kernel=7, sigma=2.0).apply([pixels], seeded(1))
    assert np.array_equal(cleaned, pixels)


def test_noise_has_the_mean_and_deviation_it_says():
    pixels = np.full((200, 200, 3), 128, np.uint8)
    [cleaned] = build("noise", sigma=0.05).apply([pixels], seeded(3))
    change = cleaned.astype(float) - 128
    assert abs(change.mean()) < 0.15  # three standard errors of 120000 values are 0.11
    assert change.std() == pytest.approx(np.hypot(0.05 * 255, 1 / np.sqrt(12)), rel=0.01)  # rounding adds 1/12


def test_noise_is_drawn_from_each_images_own_seed():
    noise, pictures = build("noise", sigma=0.05), [tiny.picture(n) for n in range(3)]
    together = noise.apply(pictures, seeded(11, 12, 13))
    assert np.array_equal(noise.apply(pictures[1:2], seeded(12))[0], together[1])
    assert np.array_equal(noise.apply(pictures[::-1], seeded(13, 12, 11))[0], together[2])
    assert not np.array_equal(noise.apply(pictures[:1], seeded(12))[0], together[0])


def test_noise_needs_a_seed_for_every_image():
    with pytest.raises(ValueError, match="zip"):
        build("noise", sigma=0.05).apply([tiny.picture(0)], seeded())


@pytest.mark.parametrize("name", ["bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("scale", [0.75, 0.5, 0.1])
def test_resize_is_pillows_there_and_back(name, scale):
    pictures = [tiny.picture(0), tiny.picture(1, 93, 131)]
    cleaned = build("resize", scale=scale, filter=name).apply(pictures, seeded(1, 2))
    for picture, result in zip(pictures, cleaned, strict=True):
        height, width = picture.shape[:2]
        chosen, image = Image.Resampling[name.upper()], Image.fromarray(picture)
        small = image.resize((round(width * scale), round(height * scale)), chosen)
        assert np.array_equal(result, np.asarray(small.resize((width, height), chosen)))
        assert not np.array_equal(result, picture)


def test_resize_averages_what_it_shrinks():
    """Without antialiasing a fine checkerboard would turn into stripes or into one colour."""
    board = np.indices((64, 64)).sum(0) % 2 * 255
    [cleaned] = build("resize", scale=0.5).apply([np.stack([board] * 3, -1).astype(np.uint8)], seeded(1))
    inner = cleaned[8:-8, 8:-8].astype(int)
    assert np.abs(inner - 127.5).max() < 10


def test_resize_keeps_the_smallest_image():
    picture = tiny.picture(0, 1, 2)
    [cleaned] = build("resize", scale=0.1).apply([picture], seeded(1))
    assert cleaned.shape == picture.shape


@pytest.mark.parametrize(
    ("kind", "name", "parameters", "message"),
    [
        ("countermeasure", "jpeg", {"quality": 0}, "quality must be 1 to 100"),
        ("countermeasure", "jpeg", {"quality": 75, "subsampling": 3}, "subsampling 0, 1 or 2"),
        ("countermeasure", "jpeg", {}, "missing 1 required"),
        ("countermeasure", "blur", {"kernel": 4, "sigma": 1.0}, "kernel must be odd"),
        ("countermeasure", "blur", {"kernel": 3, "sigma": 0}, "sigma above 0"),
        ("countermeasure", "noise", {"sigma": 0.0}, "sigma must be above 0"),
        ("countermeasure", "noise", {"sigma": "much"}, "not supported"),
        ("countermeasure", "resize", {"scale": 1.0}, "scale must lie between 0 and 1"),
        ("countermeasure", "resize", {"scale": 0.5, "filter": "nearest"}, "filter must be one of bilinear, bicubic"),
        ("mimicry", "dreambooth", {"steps": 0, "batch": 1, "learning_rate": 1e-4}, "steps and batch"),
        ("mimicry", "dreambooth", {"steps": 1, "batch": 1, "learning_rate": 0}, "learning_rate above 0"),
        ("mimicry", "dreambooth", {"steps": 1, "batch": 1, "learning_rate": 1e-4, "average": 1.0}, "average in"),
        ("mimicry", "dreambooth", {"steps": 1, "batch": 1, "rate": 1e-4}, "unexpected keyword"),
        ("mimicry", "lora", {"rank": 0, "alpha": 1, "steps": 1, "batch": 1, "learning_rate": 1e-4}, "rank must be"),
    ],
)
def test_wrong_parameters_are_the_suites_fault(kind, name, parameters, message):
    with pytest.raises(UserError, match=f"{kind} '{name}' does not take .*{message}"):
        catalogue.find(kind, name).build(parameters)


def test_an_unknown_stage_names_the_nearest():
    with pytest.raises(UserError, match=r"expected a countermeasure \(jpeg, blur, noise.*got 'jpg'") as caught:
        catalogue.find("countermeasure", "jpg")
    assert "Did you mean 'jpeg'?" in caught.value.hint
    with pytest.raises(UserError, match="expected a mimicry"):
        catalogue.find("mimicry", "jpeg")
