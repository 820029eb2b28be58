from __future__ import annotations

import json
import re

import numpy as np
import pytest
import tiny
from pairs import PAIRS
from PIL import Image

from cloakbench.images import encode
from cloakbench.metrics import measuring, quality, spaces

pytestmark = pytest.mark.usefixtures("stand_ins")


@pytest.fixture
def folders(tmp_path):
    """Two folders of pairs; the originals end otherwise."""
    for name in ("originals", "changed"):
        (tmp_path / name).mkdir()
    for n, (original, changed) in enumerate(PAIRS):
        Image.fromarray(original).save(tmp_path / "originals" / f"{n}.bmp")
        (tmp_path / "changed" / f"{n}.png").write_bytes(encode(changed))
    return tmp_path / "changed", tmp_path / "originals"


def test_folders_are_paired_by_name(folders, cloakbench):
    result = cloakbench("measure", "psnr", "linf", "--image", folders[0], "--reference", folders[1], "--json")
    parsed = json.loads(result.out)
    expected = quality.measure(["psnr", "linf"], [c for _, c in PAIRS], [o for o, _ in PAIRS])
    assert [(one["metric"], one["version"], one["n"]) for one in parsed] == [("psnr", 1, 4), ("linf", 1, 4)]
    assert [one["value"] for one in parsed] == pytest.approx([np.mean(expected["psnr"]), np.mean(expected["linf"])])


def test_two_images_are_a_pair_whatever_their_names(folders, cloakbench):
    result = cloakbench("measure", "linf", "--image", folders[0] / "0.png", "--reference", folders[1] / "0.bmp")
    words = result.out.split()
    row = words[words.index("linf") :]
    assert [float(value) for value in row[1:4]] == [1.0, 4.0, 1.0]
    assert "pixel" in row  # what it says, in words


def test_sets_need_no_pairs_and_keep_the_order_of_names(folders, cloakbench):
    (folders[1] / "3.bmp").unlink()
    result = cloakbench("measure", "kid", "style-distance", "--image", folders[0], "--reference", folders[1], "--json")
    parsed = json.loads(result.out)
    assert [(one["metric"], one["n"]) for one in parsed] == [("kid", 4), ("style-distance", 4)]
    alone = measuring.measure_paths(["style-distance"], *folders)
    assert parsed[1]["value"] == pytest.approx(alone[0].value)


def transparent(path):
    values = np.concatenate([tiny.picture(0), np.full((128, 128, 1), 9, np.uint8)], 2)
    Image.fromarray(values).save(path)
    return path


def small(path):
    path.write_bytes(encode(tiny.picture(0, 1, 1)))
    return path


def text(path):
    path.write_text("no image")
    return path


@pytest.mark.parametrize(
    ("metrics", "image", "message"),
    [
        (["ssin"], "0.png", "got 'ssin'\n.*Did you mean 'ssim'"),
        ([], "0.png", "expected at least one metric, got none"),
        (["style-accuracy"], "0.png", "got 'style-accuracy'\n.*artist"),
        (["psnr"], "none.png", "expected an image or a folder of images, got .*none.png"),
        (["psnr"], transparent, "transparent"),
        (["psnr"], text, "expected an image, got .*no picture"),
        (["psnr"], ".", "expected two files or two folders"),
        (["ms-ssim"], "0.png", "at least 161 pixels a side, got 128"),
        (["psnr"], small, "at least 8 pixels a side, got 1"),
        (["kid"], "0.png", "at least 2 images in each set for 'kid', got 1 and 1"),
    ],
)
def test_what_cannot_be_measured_is_told(metrics, image, message, folders, tmp_path, cloakbench):
    path = image(tmp_path / "given.png") if callable(image) else folders[0] / image
    result = cloakbench("measure", *metrics, "--image", path, "--reference", folders[1] / "0.bmp")
    assert result.code == 2
    assert re.search(message, result.err)


def test_a_missing_reference_is_told(folders, cloakbench):
    result = cloakbench("measure", "psnr", "--image", folders[0])
    assert (result.code, "expected --reference for psnr, got none" in result.err) == (2, True)


def test_unpaired_names_are_told(folders, cloakbench):
    (folders[1] / "3.bmp").rename(folders[1] / "4.bmp")
    result = cloakbench("measure", "psnr", "--image", folders[0], "--reference", folders[1])
    assert result.code == 2
    assert "the same file names in both folders, got 3, 4 in one alone" in result.err


@pytest.mark.usefixtures("no_weights")
def test_missing_weights_are_told(folders, cloakbench):
    result = cloakbench("measure", "pieapp", "--image", folders[0], "--reference", folders[1])
    assert result.code == 2
    assert "PieAPPv0.1-0937b014.pth" in result.err


@pytest.mark.usefixtures("assets")
def test_loading_real_weights_prints_nothing_into_json(folders, cloakbench):
    result = cloakbench("measure", "lpips-alex", "--image", folders[0], "--reference", folders[1], "--json")
    assert json.loads(result.out)[0]["metric"] == "lpips-alex"


@pytest.mark.parametrize(("asked", "expected"), [(None, "cuda"), ("cpu", "cpu")])
def test_sets_are_measured_on_the_gpu_where_there_is_one(monkeypatch, asked, expected):
    devices = []

    def images(pictures, device):
        devices.append(device)
        return spaces.FeatureImages(pictures, "cpu")

    monkeypatch.setattr(measuring, "default_device", lambda: "cuda")
    monkeypatch.setattr(measuring, "FeatureImages", images)
    pictures = [changed for _, changed in PAIRS]
    [result] = measuring.measure_images(["frechet"], pictures, pictures, asked)
    assert devices == [expected] * 2
    assert result.value == pytest.approx(0, abs=1e-6)


def test_a_meaning_is_a_whole_sentence_and_a_table_has_few_digits(folders, cloakbench):
    ended = cloakbench("measure", "ssim", "psnr", "--image", folders[0], "--reference", folders[1])
    assert ended.code == 0, ended.err
    assert "Wang et al. 2004" in ended.out
    assert not re.search(r"\d\.\d{7}", ended.out)
