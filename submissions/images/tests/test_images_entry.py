from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

from cloakbench import Surrogate, image_files, images, submissions
from cloakbench.datasets import artists
from cloakbench.errors import UserError
from cloakbench.runs import session
from cloakbench.submissions import guard
from cloakbench.submissions.discovery import Listing
from cloakbench.suites import load as suites
from cloakbench_images import Images, collection
from cloakbench_images.__main__ import main

NOTHING = Surrogate("none", None, None, None, None, None, lambda x, y: x, torch.device("cpu"), torch.float32)


class Shelf(NamedTuple):
    """Two pairs in folders, and where sets of images are looked for."""

    originals: Path
    protected: Path
    root: Path

    def add(self, strength: float = 0.5) -> int:
        folders = [str(self.originals), str(self.protected)]
        return main(["add", *folders, "--out", str(self.root / "tool-2.1"), "--strength", str(strength)])

    def pairs(self) -> list[tuple[images.Pixels, images.Pixels]]:
        before, after = (list(image_files.read_folder(p).values()) for p in (self.originals, self.protected))
        return list(zip(before, after, strict=True))

    @property
    def spelling(self) -> str:
        return collection.read(self.root / "tool-2.1").spelling


def picture(seed: int, height: int, width: int) -> images.Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    shelf = Shelf(tmp_path / "before", tmp_path / "after", tmp_path / "sets")
    for folder, seed in ((shelf.originals, 0), (shelf.protected, 10)):
        folder.mkdir()
        for n, (height, width) in enumerate([(16, 24), (19, 30)]):
            (folder / f"{n}.png").write_bytes(images.encode(picture(seed + n, height, width)))
    monkeypatch.setenv("CLOAKBENCH_IMAGES", str(shelf.root))
    return shelf


def run(entry: Images, originals: list[images.Pixels], strength: float = 0.5) -> tuple[images.Pixels, ...]:
    call = guard.Call(
        strength=strength,
        budget_255=16,
        surrogate=NOTHING,
        seed=0,
        class_word="painting",
        captions=("a painting",) * len(originals),
    )
    return guard.run(entry, originals, call).images


def test_what_was_added_comes_out_pixel_by_pixel_at_any_size(shelf: Shelf, capsys) -> None:
    assert shelf.add() == 0
    assert capsys.readouterr().out == f"images[folder={shelf.spelling}]\n"
    loaded = submissions.load(f"images[folder={shelf.spelling}]")
    assert loaded.facts().budget == "ready-made"
    before, after = zip(*reversed(shelf.pairs()), strict=True)
    for returned, expected in zip(run(loaded.instance, list(before)), after, strict=True):
        assert np.array_equal(returned, expected)


def test_strengths_lie_side_by_side(shelf: Shelf) -> None:
    shelf.add(0.5)
    shelf.add(1)
    assert sorted(p.name for p in (shelf.root / "tool-2.1").iterdir()) == ["0.5", "1", "manifest.json"]
    before, after = shelf.pairs()[0]
    assert np.array_equal(run(Images(folder=shelf.spelling), [before], 1.0)[0], after)


def test_other_images_are_another_entry(shelf: Shelf) -> None:
    shelf.add()
    first = shelf.spelling
    (shelf.protected / "0.png").write_bytes(images.encode(picture(99, 16, 24)))
    shelf.add()
    assert shelf.spelling != first
    with pytest.raises(UserError, match=f"expected folder={shelf.spelling} in .* got '{first}'"):
        Images(folder=first)


def without_strength(shelf: Shelf) -> None:
    run(Images(folder=shelf.spelling), [shelf.pairs()[0][0]], 0.25)


def without_image(shelf: Shelf) -> None:
    run(Images(folder=shelf.spelling), [picture(5, 16, 24)])


def with_changed_file(shelf: Shelf) -> None:
    for path in (shelf.root / "tool-2.1" / "0.5").iterdir():
        path.write_bytes(images.encode(picture(5, 16, 24)))
    run(Images(folder=shelf.spelling), [shelf.pairs()[0][0]])


def with_larger_file(shelf: Shelf) -> None:
    for path in (shelf.root / "tool-2.1" / "0.5").iterdir():
        path.write_bytes(images.encode(picture(5, 64, 64)))
    run(Images(folder=shelf.spelling), [shelf.pairs()[0][0]])


def with_another_format(shelf: Shelf) -> None:
    for path in (shelf.root / "tool-2.1" / "0.5").iterdir():
        pixels = image_files.read_image(path)
        Image.fromarray(pixels).save(path, "BMP")
    run(Images(folder=shelf.spelling), [shelf.pairs()[0][0]])


def with_lost_file(shelf: Shelf) -> None:
    for path in (shelf.root / "tool-2.1" / "0.5").iterdir():
        path.unlink()
    run(Images(folder=shelf.spelling), [shelf.pairs()[0][0]])


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (without_strength, r"expected images of strength 0.25 in .*tool-2.1, got 0.5"),
        (without_image, r"expected the protected image of the original \w{12} at strength 0.5"),
        (with_changed_file, r"expected the image that was added, got another"),
        (with_larger_file, r"expected a protected image, got .*at most 384 pixels"),
        (with_another_format, r"expected a protected image, got .*PNG"),
        (with_lost_file, r"expected a protected image, got .*png: "),
    ],
)
def test_says_what_is_missing_or_changed(shelf: Shelf, act: Callable[[Shelf], None], message: str) -> None:
    shelf.add()
    with pytest.raises(guard.SubmissionFault, match=message):
        act(shelf)


def test_says_where_sets_are_looked_for(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"expected folder=a set of images in .*sets, got 'cat-0123'"):
        Images(folder="cat-0123")
    monkeypatch.delenv("CLOAKBENCH_IMAGES")
    with pytest.raises(UserError, match="expected the folder of image sets in CLOAKBENCH_IMAGES, got none"):
        Images(folder="cat-0123")


def test_adding_refuses_what_does_not_pair(shelf: Shelf, capsys) -> None:
    assert shelf.add(0) == 2
    assert "expected a strength in (0, 1], got 0" in capsys.readouterr().err
    (shelf.protected / "1.png").rename(shelf.protected / "2.png")
    assert shelf.add() == 2
    assert "expected each image in both folders, got only one of 1, 2" in capsys.readouterr().err
    (shelf.protected / "2.png").unlink()
    (shelf.protected / "1.jpg").write_bytes(images.encode(picture(1, 8, 8)))
    assert shelf.add() == 2
    assert "expected a pair of one size for 1, got 30 x 19 and 8 x 8" in capsys.readouterr().err
    assert not (shelf.root / "tool-2.1" / "manifest.json").exists()


def test_exported_originals_are_those_of_the_harness(tmp_path: Path) -> None:
    assert main(["export", "mini-quick", str(tmp_path / "out")]) == 0
    suite = suites.load("mini-quick")
    expected = {}
    for artist in artists.load(suite, None, 128):
        for n, digest in enumerate(artist.image_digests):
            expected[f"{artist.name}-{n:02d}.png"] = digest
    assert {name: images.digest(p) for name, p in image_files.read_folder(tmp_path / "out").items()} == expected


def test_a_run_of_everything_installed_leaves_it_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listing = Listing((submissions.find("images"), submissions.find("identity")))
    monkeypatch.setattr(submissions, "discover", lambda: listing)
    assert "images" not in [entry.facts.name for entry in session.entries([], tmp_path, 1)]
    with pytest.raises(UserError, match=r"missing a required .*argument: 'folder'"):
        session.entries(["images"], tmp_path, 1)
