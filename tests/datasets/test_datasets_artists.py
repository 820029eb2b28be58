from __future__ import annotations

import json
import os

import numpy as np
import pytest
import tiny
from PIL import Image

from cloakbench.datasets import artists, draw_mini
from cloakbench.datasets.procedural import scenes, styles
from cloakbench.errors import UserError
from cloakbench.image_files import decode
from cloakbench.images import digest, encode
from cloakbench.suites import load as suites
from tests import refused_pictures
from tests.programs import needs_utf8_names

SHIPPED = sorted(path.name for path in artists.MINI.iterdir() if path.is_dir())


def test_every_held_out_style_is_shipped():
    held_out = [*styles.names("development"), *styles.names("artists")]
    assert sorted(style.replace(" ", "-") for style in held_out) == SHIPPED
    assert len(styles.names("development")) == 12
    assert len(styles.names("artists")) == 16
    assert len(styles.names("training")) == 18


def test_groups_of_styles_are_disjoint():
    groups = [set(styles.names(group)) for group in ("training", "development", "artists")]
    assert sum(len(group) for group in groups) == len(set.union(*groups)) == len(styles.ALL)


def test_mini_takes_twelve_artists_in_their_order_and_a_demonstration_none():
    """A demonstration shows pictures of its artists, and those of mini are not looked at before they count."""
    assert suites.load("mini").artists == styles.names("artists")[2:14]
    assert set(suites.load("mini-quick").artists) <= set(styles.names("development"))


@pytest.mark.parametrize("count", [2, 12, 16])
def test_the_first_artists_are_as_often_textured_as_flat(count):
    kinds = [style.kind for style in styles.ARTISTS[:count]]
    assert kinds.count("textured") == kinds.count("flat") == count // 2


def test_no_model_learns_an_artist():
    """The classes of the trainings are the positions in STYLES; the pictures of the trainings are of these styles."""
    assert not {style.group for style in styles.STYLES} - {"training", "development"}
    assert {style.group for style in styles.ARTISTS} == {"artists"}
    assert not set(styles.names("artists")) & set(styles.learnable_names())


def test_shipped_pictures_are_the_committed_ones():
    """The digests are of pixels, so that another PNG encoder would not matter, another picture would."""
    content_by_path = {}
    for p in artists.MINI.rglob("*.png"):
        content_by_path[p.relative_to(artists.MINI).as_posix()] = digest(decode(p.read_bytes()))
    assert content_by_path == json.loads((artists.MINI / "digests.json").read_text())
    assert draw_mini.digests() == content_by_path


@pytest.mark.parametrize("name", SHIPPED)
def test_an_artist_has_images_and_references_apart(name):
    artist = artists.mini_artist(name, suites.load("mini"))
    assert len(artist.images) == len(artist.captions) == 8
    assert len(artist.references) == 12
    assert {p.shape for p in (*artist.images, *artist.references)} == {(128, 128, 3)}
    every = artist.image_digests + artist.reference_digests
    assert len(set(every)) == 20


def test_no_picture_belongs_to_two_artists():
    suite = suites.load("mini")
    every = []
    for n in SHIPPED:
        for a in [artists.mini_artist(n, suite)]:
            every += a.image_digests + a.reference_digests
    assert len(set(every)) == len(every)


def test_captions_name_the_subject_and_the_token_never_the_style():
    artist = artists.mini_artist("stained-glass", suites.load("mini"))
    for caption in artist.captions:
        subject = caption.removeprefix("a painting of a ").removesuffix(" in the style of sks")
        assert subject in scenes.SUBJECTS
        assert "glass" not in caption


def test_a_suite_may_ask_for_fewer_images():
    artist = artists.mini_artist("vellmar", tiny.suite())
    assert len(artist.images) == len(artist.captions) == 3


def test_an_unknown_artist_is_explained():
    with pytest.raises(UserError, match=r"expected a shipped artist \(ardwick, .*got 'nobody'"):
        artists.mini_artist("nobody", tiny.suite())


def fill(folder, count, size=(150, 140), seed=0):
    folder.mkdir(parents=True)
    for n in range(count):
        (folder / f"{n:02d}.png").write_bytes(encode(tiny.picture(seed + n, *size)))


def test_of_a_folder_every_third_image_is_a_reference(tmp_path):
    fill(tmp_path / "van gogh", 7)
    fill(tmp_path / "a dog", 5, seed=100)
    (tmp_path / "notes.txt").write_text("left alone")
    suite = tiny.suite(dataset="folder", artists=[], images_per_artist=8)
    dog, gogh = artists.folder_artists(tmp_path, suite, 64)
    assert (dog.name, gogh.name) == ("a dog", "van gogh")
    expected = [artists.images.fit_square(tiny.picture(n, 150, 140), 64) for n in range(7)]
    for a, n in zip(gogh.images, (0, 2, 3, 5, 6), strict=True):
        assert np.array_equal(a, expected[n])
    for a, n in zip(gogh.references, (1, 4), strict=True):
        assert np.array_equal(a, expected[n])
    assert set(gogh.captions) == {"a painting in the style of sks"}
    assert (len(dog.images), len(dog.references)) == (3, 2)


def test_the_limit_of_images_spares_the_references(tmp_path):
    fill(tmp_path / "one", 9)
    [artist] = artists.folder_artists(tmp_path, tiny.suite(dataset="folder", artists=[], images_per_artist=2), 64)
    assert (len(artist.images), len(artist.captions), len(artist.references)) == (2, 2, 3)


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda folder: None, "expected a folder with one sub-folder per artist, got .*photos"),
        (lambda folder: folder.mkdir(), "expected one sub-folder per artist in .*photos, got none"),
        (lambda folder: fill(folder / "few", 4), "at least 5 images of an artist .* got 4 in .*few"),
        (lambda folder: (folder / "empty").mkdir(parents=True), "expected images .*empty, found none"),
    ],
)
def test_a_wrong_folder_is_explained(tmp_path, prepare, message):
    prepare(tmp_path / "photos")
    with pytest.raises(UserError, match=message):
        artists.folder_artists(tmp_path / "photos", tiny.suite(), 64)


FOLDER = {"dataset": "folder", "artists": []}


@pytest.mark.parametrize("copy", ["monet/copy.bmp", "manet/copy.png"])
def test_an_image_is_never_on_both_sides_nor_of_two_artists(tmp_path, copy):
    """By pixels: the copy is another file of another format, and in one case of another artist."""
    fill(tmp_path / "monet", 6)
    fill(tmp_path / "manet", 6, seed=50)
    Image.fromarray(decode((tmp_path / "monet" / "01.png").read_bytes())).save(tmp_path / copy)
    with pytest.raises(UserError, match="expected different pictures") as caught:
        artists.folder_artists(tmp_path, tiny.suite(**FOLDER), 64)
    assert "01.png" in caught.value.message
    assert "copy" in caught.value.message


LOSING = [(refused_pictures.transparent, "transparent"), (refused_pictures.animated, "2 frames")]


@pytest.mark.parametrize(("draw", "reason"), LOSING)
def test_a_picture_that_would_lose_something_is_refused_by_name(tmp_path, draw, reason):
    fill(tmp_path / "monet", 6)
    draw(tmp_path / "monet" / "zoo.png")
    with pytest.raises(UserError, match=rf"zoo\.png: .*{reason}"):
        artists.folder_artists(tmp_path, tiny.suite(**FOLDER), 64)


def test_hidden_and_system_folders_are_no_artists(tmp_path, caplog):
    for number, name in enumerate(("monet", ".ipynb_checkpoints", "__MACOSX")):
        fill(tmp_path / name, 6, seed=100 * number)
    (tmp_path / "loose.png").write_bytes(b"")
    [monet] = artists.folder_artists(tmp_path, tiny.suite(**FOLDER), 64)
    assert monet.name == "monet"
    assert "loose.png" in caplog.text


HIDDEN = [pytest.param(b"caf\xe9", marks=needs_utf8_names), b"two\nlines", b"\x1b[2J", "\u202egnp".encode()]


@pytest.mark.parametrize("name", HIDDEN)
@pytest.mark.parametrize("kind", ["folder", "file"])
def test_a_folder_or_file_whose_name_cannot_be_printed_is_refused(tmp_path, name, kind):
    fill(tmp_path / "artist", 6)
    path = tmp_path / "artist" if kind == "folder" else tmp_path / "artist" / "01.png"
    os.rename(path, os.fsencode(path.parent) + b"/" + name + path.suffix.encode())  # noqa: PTH104 - a path of bytes
    with pytest.raises(UserError, match="printable") as caught:
        artists.folder_artists(tmp_path, tiny.suite(**FOLDER), 64)
    assert caught.value.message.isprintable()
    assert "Rename" in caught.value.hint


@needs_utf8_names
def test_names_of_any_language_and_of_a_mac_are_read(tmp_path):
    fill(tmp_path / "Cl\u00e9ment \u2014 \u68b5\u9ad8", 6)
    (tmp_path / "Cl\u00e9ment \u2014 \u68b5\u9ad8" / "01.png").rename(
        tmp_path / "Cl\u00e9ment \u2014 \u68b5\u9ad8" / "Screenshot at 9.41\u202fAM.png"
    )
    assert len(artists.folder_artists(tmp_path, tiny.suite(**FOLDER), 64)) == 1


def test_artists_that_differ_only_in_case_are_refused(tmp_path):
    fill(tmp_path / "Monet", 6)
    try:
        fill(tmp_path / "monet", 6, seed=50)
    except FileExistsError:
        pytest.skip("this file system does not tell case")
    with pytest.raises(UserError, match="'Monet' and 'monet'"):
        artists.folder_artists(tmp_path, tiny.suite(**FOLDER), 64)


def test_a_suite_that_ships_its_images_takes_no_others(tmp_path):
    with pytest.raises(UserError, match="no --images for suite"):
        artists.load(tiny.suite(), tmp_path, 64)


def test_the_folder_suite_asks_for_images():
    with pytest.raises(UserError, match="needs images, got none") as caught:
        artists.load(tiny.suite(dataset="folder", artists=[]), None, 64)
    assert "--images FOLDER" in caught.value.hint


@pytest.mark.parametrize("style", [*styles.names("development"), *styles.names("artists")])
def test_a_picture_is_drawn_from_its_seed_alone(style):
    first, again, other = (styles.paint(style, "boat", seed) for seed in ([9, 1, 2], [9, 1, 2], [9, 1, 3]))
    assert first.shape == (128, 128, 3)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
