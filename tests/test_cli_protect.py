"""The verb that protects a user's own images."""

from __future__ import annotations

import json
import resource

import numpy as np
import pytest
import tiny
from PIL import Image

from cloakbench.image_files import decode
from cloakbench.images import encode
from cloakbench.system import free_memory


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "my photos"
    folder.mkdir()
    (folder / "odd.png").write_bytes(encode(tiny.picture(0, 93, 131)))
    (folder / "tiny.png").write_bytes(encode(tiny.picture(1, 9, 17)))
    Image.fromarray(tiny.picture(2, 64, 64)).save(folder / "Photo.JPG", "JPEG")
    return folder


@pytest.mark.parametrize(("name", "strength", "levels"), [("random-noise", 0.5, 8), ("photoguard[steps=2]", 1.0, 16)])
@pytest.mark.usefixtures("stand_ins")
def test_own_images_keep_their_size_and_the_budget(cloakbench, photos, tmp_path, name, strength, levels):
    if name.startswith("photoguard"):
        (photos / "tiny.png").unlink()
    out = tmp_path / "protected" / "here"
    result = cloakbench("protect", name, "--in", photos, "--out", out, "--strength", strength, "--json")
    assert result.code == 0, result.err
    done = {item["file"]: item for item in json.loads(result.out)}
    originals = {}
    for path in photos.iterdir():
        originals[path.with_suffix(".png").name] = decode(path.read_bytes())
    assert done.keys() == originals.keys() == {path.name for path in out.glob("[!.]*")}
    for file, before in originals.items():
        after = decode((out / file).read_bytes())
        assert after.shape == before.shape
        change = np.abs(after.astype(int) - before)
        assert 0 < change.max() <= levels
        assert done[file]["max_255"] == change.max()
        assert done[file]["mean_255"] == pytest.approx(change.mean(), abs=1e-3)


@pytest.mark.usefixtures("stand_ins")
@pytest.mark.parametrize(("limit", "is_warned"), [(93 * 131 - 1, True), (93 * 131, False)])
def test_large_images_are_warned_of_before_they_take_the_memory(
    cloakbench, photos, tmp_path, monkeypatch, limit, is_warned
):
    monkeypatch.setattr("cloakbench.folders.protect.LARGE_PIXELS", limit)
    done = cloakbench("protect", "placebo", "--in", photos, "--out", tmp_path / "out")
    assert (done.code, "megapixels" in done.err) == (0, is_warned)


@pytest.mark.usefixtures("stand_ins")
def test_a_protection_that_needs_more_than_the_free_memory_is_refused_in_words(cloakbench, tmp_path, monkeypatch):
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    (photos / "large.png").write_bytes(encode(tiny.picture(0, 1200, 1000)))
    limits = resource.getrlimit(resource.RLIMIT_DATA)
    monkeypatch.setattr(free_memory, "free_bytes", lambda: 1 << 20)
    done = cloakbench("protect", "photoguard[steps=1]", "--in", photos, "--out", out)
    assert done.code == 2
    assert "1.2 megapixels" in done.err
    assert "0.0 GiB were free" in done.err
    assert not out.exists()
    assert resource.getrlimit(resource.RLIMIT_DATA) == limits


@pytest.mark.usefixtures("stand_ins")
def test_a_folder_of_results_is_checked_once_and_stays_as_it_was_where_the_model_is_missing(
    cloakbench, photos, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    out.mkdir()
    (out / "other.txt").write_text("mine")
    done = cloakbench("protect", "placebo", "--in", photos, "--out", out, "--model", tmp_path / "nowhere")
    assert done.code == 2
    assert [path.name for path in out.iterdir()] == ["other.txt"]


@pytest.mark.usefixtures("stand_ins")
def test_protecting_again_gives_the_same_bytes(cloakbench, photos, tmp_path):
    for out in ("one", "two"):
        assert cloakbench("protect", "random-noise", "--in", photos, "--out", tmp_path / out).code == 0
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


@pytest.mark.usefixtures("stand_ins")
def test_originals_are_never_replaced(cloakbench, photos):
    before = {path.name: path.read_bytes() for path in photos.iterdir()}
    result = cloakbench("protect", "placebo", "--in", photos, "--out", photos)
    assert (result.code, "expected another folder than --in" in result.err) == (2, True)
    assert {path.name: path.read_bytes() for path in photos.iterdir()} == before


@pytest.mark.usefixtures("stand_ins")
def test_two_images_that_would_get_one_name_are_refused(cloakbench, photos, tmp_path):
    (photos / "odd.bmp").write_bytes((photos / "odd.png").read_bytes())
    result = cloakbench("protect", "placebo", "--in", photos, "--out", tmp_path / "out")
    assert (result.code, "several for odd.png" in result.err) == (2, True)
    assert not (tmp_path / "out").exists()
