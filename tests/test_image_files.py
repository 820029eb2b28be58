"""The one reader of a user's pictures: what it converts, what it refuses and what it passes over."""

from __future__ import annotations

import errno
import io
import logging
import struct
import zlib

import numpy as np
import pytest
import tiny
from PIL import Image, ImageCms

from cloakbench import image_files, images
from cloakbench.datasets import artists
from cloakbench.errors import UserError
from cloakbench.image_files import decode
from cloakbench.suites import load as suites
from tests.programs import needs_utf8_names


def saved(image: Image.Image, form: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def grey(data: bytes) -> np.ndarray:
    pixels = decode(data)
    assert (pixels == pixels[..., :1]).all()
    return pixels[..., 0]


RAMP = np.linspace(0, 65535, 4096).reshape(64, 64)


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_16_bit_greys_are_scaled_to_8_bits(form):
    """65535 / 257 is 255: a scan keeps black, white and everything between."""
    values = RAMP.astype(np.uint16)
    decoded = grey(saved(Image.fromarray(values), form))
    assert np.array_equal(decoded, np.round(values / 257).astype(np.uint8))
    assert (decoded.min(), decoded.max()) == (0, 255)


def test_floats_in_0_to_1_are_scaled_and_others_refused():
    values = (RAMP / 65535).astype(np.float32)
    assert np.array_equal(grey(saved(Image.fromarray(values), "TIFF")), np.round(values * 255).astype(np.uint8))
    for wrong in (values * 300, values - 1, np.full((4, 4), np.nan, np.float32)):
        with pytest.raises(ValueError, match=r"float values"):
            decode(saved(Image.fromarray(wrong), "TIFF"))


def test_32_bit_integers_are_refused():
    with pytest.raises(ValueError, match="32-bit integers"):
        decode(saved(Image.fromarray(RAMP.astype(np.int32)), "TIFF"))


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK"])
def test_8_bit_modes_become_rgb(mode):
    form = "TIFF" if mode == "CMYK" else "PNG"
    picture = Image.fromarray(tiny.picture(0, 16, 24)).convert(mode)
    assert np.array_equal(decode(saved(picture, form)), np.asarray(picture.convert("RGB")))


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "GIF", "WEBP", "AVIF", "JPEG"])
def test_every_format_is_read(form):
    picture = Image.new("RGB", (24, 16), (200, 40, 20))
    assert np.abs(decode(saved(picture, form)).astype(int) - (200, 40, 20)).max() <= 12


def test_formats_that_run_programs_or_are_rare_are_not_opened():
    for form in ("EPS", "PCX", "PPM"):
        with pytest.raises(ValueError, match="no picture of a format"):
            decode(saved(Image.new("RGB", (8, 8)), form))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_pixels_are_refused_and_an_opaque_alpha_is_dropped(mode):
    picture = Image.fromarray(tiny.picture(0, 8, 8)).convert("RGB").convert(mode)
    expected = np.asarray(picture.convert("RGB"))
    assert np.array_equal(decode(saved(picture)), expected)
    picture.putalpha(Image.fromarray(np.full((8, 8), 254, np.uint8)))
    with pytest.raises(ValueError, match="transparent"):
        decode(saved(picture))


def test_a_transparent_colour_of_a_palette_is_refused():
    with pytest.raises(ValueError, match="transparent"):
        decode(saved(Image.new("P", (4, 4)), transparency=0))


@pytest.mark.parametrize("form", ["PNG", "GIF", "WEBP", "TIFF"])
def test_animations_and_pages_are_refused(form):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]
    with pytest.raises(ValueError, match="3 frames"):
        decode(saved(frames[0], form, save_all=True, append_images=frames[1:]))


def test_the_previews_of_a_phone_are_no_animation():
    picture, preview = Image.new("RGB", (16, 16), "red"), Image.new("RGB", (8, 8), "red")
    assert decode(saved(picture, "MPO", save_all=True, append_images=[preview])).shape == (16, 16, 3)


def test_photos_are_held_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: a viewer shows the picture rotated by 90 degrees
    assert decode(saved(Image.new("RGB", (40, 20)), "JPEG", exif=exif)).shape == (40, 20, 3)


def exchanged() -> bytes:
    """A profile whose red and blue primaries are exchanged: viewers show (200, 40, 20) as (20, 40, 200)."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack(">I", profile[128:132])[0]
    for offset in range(132, 132 + 12 * count, 12):
        tag = bytes(profile[offset : offset + 4])
        profile[offset : offset + 4] = {b"rXYZ": b"bXYZ", b"bXYZ": b"rXYZ"}.get(tag, tag)
    return bytes(profile)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_colour_profiles_are_converted_to_srgb(form):
    picture = Image.new("RGB", (16, 16), (200, 40, 20))
    decoded = decode(saved(picture, form, icc_profile=exchanged())).astype(int)
    assert np.abs(decoded - (20, 40, 200)).max() <= 12


def test_pictures_in_srgb_keep_their_values():
    pixels = tiny.picture(3, 32, 32)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert np.array_equal(decode(saved(Image.fromarray(pixels), icc_profile=profile)), pixels)


def test_profiles_that_do_not_fit_are_refused():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    with pytest.raises(ValueError, match="colour profile"):
        decode(saved(Image.new("CMYK", (4, 4)), "TIFF", icc_profile=profile))
    with pytest.raises(ValueError, match="colour profile"):
        decode(saved(Image.new("RGB", (4, 4)), icc_profile=b"no profile"))


def test_a_bomb_is_refused_before_it_is_decoded():
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    for side in (14_000, 60_000):
        header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
        bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
        with pytest.raises(ValueError, match="more than 178"):
            decode(bomb)


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "GIF", "WEBP", "AVIF", "JPEG"])
def test_damaged_files_are_refused_and_nothing_else_happens(form, recwarn):
    """Random bytes of a small file are changed; Pillow's decoders then raise errors of many types, and warn."""
    whole = saved(Image.fromarray(tiny.picture(0, 24, 32)), form)
    random = np.random.default_rng(0)
    refused = 0
    for _ in range(200):
        data = np.frombuffer(whole, np.uint8).copy()
        data[random.integers(0, random.choice([40, 200, len(data) - 1]), 4)] = random.integers(0, 256, 4)
        try:
            assert decode(data.tobytes()).shape[2] == 3
        except ValueError:
            refused += 1
    assert 0 < refused < 200
    assert not recwarn.list


def test_a_folder_is_read_in_order_and_what_is_left_out_is_counted(tmp_path, caplog):
    for name in ("b.png", "a.PNG", "c.jpg", "d.tif"):
        (tmp_path / name).write_bytes(images.encode(tiny.picture(0, 8, 8)))
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "photo.heic").write_bytes(b"x")
    (tmp_path / "e.png").mkdir()
    with caplog.at_level(logging.WARNING):
        assert list(image_files.read_folder(tmp_path)) == ["a.PNG", "b.png", "c.jpg", "d.tif"]
    assert "3 that are no readable pictures: e.png, notes.txt, photo.heic" in caplog.text


def test_hidden_and_system_files_are_passed_over(tmp_path, caplog):
    (tmp_path / "boat.png").write_bytes(images.encode(tiny.picture(0, 8, 8)))
    for name in ("._boat.png", ".DS_Store", "Thumbs.db", "desktop.ini"):
        (tmp_path / name).write_bytes(b"no picture")
    for name in ("__MACOSX", ".ipynb_checkpoints"):
        (tmp_path / name).mkdir()
    assert list(image_files.read_folder(tmp_path)) == ["boat.png"]
    assert caplog.text == ""


def test_what_cannot_be_read_is_refused_by_name(tmp_path):
    with pytest.raises(UserError, match=r"expected a folder of images, got .*nowhere"):
        image_files.read_folder(tmp_path / "nowhere")
    with pytest.raises(UserError, match="found none"):
        image_files.read_folder(tmp_path)
    (tmp_path / "x.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"x\.png: no picture") as caught:
        image_files.read_folder(tmp_path)
    assert "0x" not in str(caught.value)
    for target in (tmp_path / "absent", "/proc/self/mem"):  # a broken link, and a file whose reading fails
        (tmp_path / "x.png").unlink()
        (tmp_path / "x.png").symlink_to(target)
        with pytest.raises(UserError, match=r"x\.png: "):
            image_files.read_folder(tmp_path)


@needs_utf8_names
@pytest.mark.parametrize("pair", [("Boat.png", "boat.PNG"), ("\u00e9.png", "e\u0301.png")])
def test_names_that_differ_only_in_case_or_normal_form_are_refused(tmp_path, pair):
    for name in pair:
        (tmp_path / name).write_bytes(images.encode(tiny.picture(0, 8, 8)))
    if len(list(tmp_path.iterdir())) < 2:
        pytest.skip("this file system holds one of the two names only")
    with pytest.raises(UserError, match="differ in more than case"):
        image_files.read_folder(tmp_path)


def test_a_folder_that_cannot_be_listed_is_named(tmp_path, monkeypatch):
    def refuse(_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(type(tmp_path), "iterdir", refuse)
    with pytest.raises(UserError, match=r"expected a readable folder.*Permission denied"):
        image_files.list_folder(tmp_path)
    with pytest.raises(UserError, match=r"expected a readable folder.*Permission denied"):
        artists.folder_artists(tmp_path, suites.load("folder"), 32)
