"""Which pictures of a collection are chosen, and with which captions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny
from PIL import Image

from cloakbench.datasets import artists, freeze, manifest
from cloakbench.errors import UserError
from cloakbench.image_files import decode
from cloakbench.images import encode
from tests import refused_pictures
from tests.datasets.paintings import ARTISTS, by_artist, frozen, suite


def test_the_order_is_that_of_the_digests_and_roles_follow_it(tmp_path):
    _, made = frozen(tmp_path)
    for name in ARTISTS:
        mine = [item for item in made.items if item.artist == name]
        assert [item.role for item in mine] == ["protect"] * 2 + ["reference"] * 3
        assert [item.sha256 for item in mine] == sorted(item.sha256 for item in mine)
    assert (made.selection, made.version) == ("few", 3)
    assert json.loads((tmp_path / "out" / manifest.FILE).read_text()) == made.model_dump()


def test_small_long_damaged_and_repeated_images_are_passed_over(tmp_path):
    source = by_artist(tmp_path / "wikiart")
    _, before = frozen_again(tmp_path, source, "one")
    monet = source / "Claude Monet"
    for n in range(20):
        (monet / f"small {n}.png").write_bytes(encode(tiny.picture(n, 39, 60)))
        (monet / f"long {n}.png").write_bytes(encode(tiny.picture(n, 40, 81)))
        (monet / f"broken {n}.jpg").write_bytes(bytes([n]) * 9)
        (monet / f"same {n}.png").write_bytes((monet / "painting 0.png").read_bytes())
    _, after = frozen_again(tmp_path, source, "two")
    assert [item.sha256 for item in after.items] == [item.sha256 for item in before.items]


@pytest.mark.parametrize("draw", [refused_pictures.transparent, refused_pictures.animated])
def test_a_painting_that_would_lose_something_is_named_and_not_chosen(tmp_path, caplog, draw):
    source = by_artist(tmp_path / "wikiart")
    for n in (4, 5, 6):
        (source / "Claude Monet" / f"painting {n}.png").unlink()
    draw(source / "Claude Monet" / "cut out.png")
    with pytest.raises(UserError, match=r"expected 5 images of claude-monet .* got 4 of 5"):
        frozen_again(tmp_path, source, "out")
    assert "cut out.png: " in caplog.text


def frozen_again(tmp_path, source, out):
    chosen = suite(tmp_path)
    return chosen, freeze.freeze(chosen, str(source), tmp_path / out)


def test_captions_come_from_beside_the_images(tmp_path):
    source = by_artist(tmp_path / "wikiart")
    texts = {f"Claude Monet/painting {n}.png": f"water  lilies {n}\n" for n in range(7)}
    (source / "captions.json").write_text(json.dumps(texts))
    for n in range(7):
        (source / "Paul Cézanne" / f"painting {n}.txt").write_text(f"{{token}} apples {n}\n")
    chosen, made = frozen_again(tmp_path, source, "out")
    for item in made.items:
        number = item.title.removeprefix("painting ")
        words = {
            "claude-monet": f"water lilies {number} in the style of {{token}}",
            "paul-cezanne": f"{{token}} apples {number}",
        }
        assert item.caption == (words[item.artist] if item.role == "protect" else "")
    monet, _ = artists.load(chosen, tmp_path / "out", 32)
    for c in monet.captions:
        assert c.startswith("water lilies")
        assert c.endswith("in the style of sks")


@pytest.mark.parametrize("text", ["{", "[1]", '{"a": 1}'])
def test_captions_that_are_none_are_explained(tmp_path, text):
    (by_artist(tmp_path / "wikiart") / "captions.json").write_text(text)
    with pytest.raises(UserError, match=r"in .*captions\.json"):
        freeze.freeze(suite(tmp_path), str(tmp_path / "wikiart"), tmp_path / "out")


def again(path: Path, to: Path) -> None:
    """Writes the same pixels as another file."""
    Image.fromarray(decode(path.read_bytes())).save(to, compress_level=1)


def test_pictures_with_equal_pixels_are_chosen_once(tmp_path):
    source = by_artist(tmp_path / "wikiart")
    for path in sorted((source / "Claude Monet").iterdir()):
        again(path, path.with_name(f"again {path.name}"))
    _, made = frozen_again(tmp_path, source, "out")
    digests = [tiny_digest(tmp_path / "out" / item.file) for item in made.items]
    assert len(set(digests)) == len(digests) == 10


def tiny_digest(path: Path) -> bytes:
    return decode(path.read_bytes()).tobytes()


def test_a_picture_of_two_artists_is_chosen_for_neither(tmp_path):
    source = by_artist(tmp_path / "wikiart")
    _, before = frozen_again(tmp_path, source, "before")
    item = next(item for item in before.items if item.artist == "claude-monet")
    again(tmp_path / "before" / item.file, source / "Paul Cézanne" / "shared.png")
    extra = [encode(tiny.picture(900 + n, 60, 50)) for n in range(4)]
    for n, data in enumerate(extra):
        (source / "Paul Cézanne" / f"extra {n}.png").write_bytes(data)
    _, after = frozen_again(tmp_path, source, "after")
    digests = [tiny_digest(tmp_path / "after" / item.file) for item in after.items]
    assert len(set(digests)) == len(digests)


@pytest.mark.parametrize(
    ("data", "got"),
    [
        ("un bateau à voile".encode("latin-1"), "byte 0xe0 at 10"),
        ("a boat".encode("utf-16"), "UTF-16"),
    ],
)
def test_a_caption_that_is_not_utf_8_is_refused_by_name(tmp_path, data, got):
    source = by_artist(tmp_path / "wikiart")
    (source / "Claude Monet" / "painting 0.txt").write_bytes(data)
    with pytest.raises(UserError, match=rf"painting 0\.txt, got {got}"):
        frozen_again(tmp_path, source, "out")


def test_a_byte_order_mark_is_no_part_of_a_caption(tmp_path):
    source = by_artist(tmp_path / "wikiart")
    for n in range(7):
        (source / "Claude Monet" / f"painting {n}.txt").write_bytes("\ufeffa boat".encode())
    _, made = frozen_again(tmp_path, source, "out")
    captions = set()
    for item in made.items:
        if item.artist == "claude-monet" and item.role == "protect":
            captions.add(item.caption)
    assert captions == {"a boat in the style of {token}"}


def test_a_painting_that_cannot_be_read_is_named(tmp_path):
    source = by_artist(tmp_path / "wikiart")
    (source / "Claude Monet" / "bad.png").symlink_to("/proc/self/mem")
    with pytest.raises(UserError, match=r"bad\.png: Input/output error"):
        frozen_again(tmp_path, source, "out")


def test_hidden_folders_of_a_collection_are_not_entered(tmp_path):
    source = by_artist(tmp_path / "wikiart")
    _, before = frozen_again(tmp_path, source, "before")
    hidden = source / ".cache" / "Claude Monet"
    hidden.mkdir(parents=True)
    for n in range(9):
        (hidden / f"{n}.png").write_bytes(encode(tiny.picture(700 + n, 60, 50)))
    _, after = frozen_again(tmp_path, source, "after")
    assert after == before
