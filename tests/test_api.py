"""`import cloakbench`: the functions of the command line, with every example of benchmark/API.md executed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from PIL import Image

import cloakbench
from cloakbench.image_values import to_pixels
from cloakbench.images import encode

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "benchmark" / "API.md"


def test_importing_the_package_imports_nothing_heavy(python):
    printed = python(
        "import sys, json, cloakbench\nprint(json.dumps(sorted({n.partition('.')[0] for n in sys.modules})))"
    )
    assert not set(json.loads(printed)) & {"torch", "diffusers", "transformers", "pandas", "numpy", "PIL"}


def test_every_name_is_there_and_others_are_not():
    for name in cloakbench.__all__:
        assert getattr(cloakbench, name)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = cloakbench.nonsense


def test_packages_are_typed():
    assert (ROOT / "benchmark" / "cloakbench" / "py.typed").exists()
    assert (ROOT / "leaderboards" / "cloakbench_leaderboards" / "py.typed").exists()


@pytest.mark.usefixtures("stand_ins")
def test_the_examples_of_the_page_run_in_their_order(tmp_path, monkeypatch):
    (tmp_path / "pictures").mkdir()
    for number in range(2):
        (tmp_path / "pictures" / f"{number}.png").write_bytes(encode(tiny.picture(number, 64, 80)))
    (tmp_path / "leaderboards").symlink_to(ROOT / "leaderboards")
    (tmp_path / "tiny.toml").write_text(tiny.TEXT)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) == 8
    names: dict[str, object] = {}
    for block in blocks:
        exec(block.replace('"mini", ["photoguard"]', '"tiny.toml", ["placebo"]'), names)
    protected, cleaned = names["protected"], names["cleaned"]
    assert [image.shape for image in protected.images] == [image.shape for image in cleaned] == [(64, 80, 3)] * 2
    assert 0 < protected.budgets[0].max_255 <= 8
    assert (names["summary"].ran, names["summary"].failed) == (2, 0)
    frame = names["frame"]
    assert {"protection", "strength", "attack", "p", "p_low", "p_high", "gmsd"} <= set(frame.columns)
    assert frame["p"].dtype == float
    assert names["page"].is_file()


PICTURE = tiny.picture(0, 16, 24)


@pytest.mark.parametrize(
    "image",
    [
        PICTURE,
        PICTURE[None],
        PICTURE.astype(np.float32) / 255,
        torch.from_numpy(PICTURE.copy()).permute(2, 0, 1).float() / 255,
        torch.from_numpy(PICTURE.copy()).permute(2, 0, 1)[None].float() / 255,
        Image.fromarray(PICTURE),
        [Image.fromarray(PICTURE)],
    ],
)
def test_images_of_every_kind_are_the_same_pixels(image):
    [pixels] = to_pixels(image)
    assert np.array_equal(pixels, PICTURE)


def test_paths_of_images_and_folders_are_images(tmp_path):
    (tmp_path / "a.png").write_bytes(encode(PICTURE))
    for path in (tmp_path, tmp_path / "a.png", str(tmp_path / "a.png")):
        assert np.array_equal(to_pixels(path)[0], PICTURE)


@pytest.mark.parametrize(
    ("image", "word"),
    [
        (7, "int"),
        (np.zeros((4, 4, 4), np.uint8), "shape"),
        (np.zeros((4, 4, 3), np.int64), "int64"),
        (np.full((4, 4, 3), 200.0), "0, 1"),
        (np.full((4, 4, 3), np.nan), "0, 1"),
        (torch.zeros(4, 4, 3), "shape"),
        (torch.zeros(3, 4, 4, dtype=torch.uint8), "uint8"),
        (Image.new("RGBA", (4, 4)), "transparent"),
        ("nowhere.png", "nowhere.png"),
    ],
)
def test_what_is_no_image_is_explained(image, word):
    with pytest.raises(cloakbench.UserError, match=word):
        to_pixels(image)


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: cloakbench.protect(PICTURE, "photogard"), "photoguard"),
        (lambda: cloakbench.protect(PICTURE, "placebo", strength=2), "strength"),
        (lambda: cloakbench.attack(PICTURE, "jpg"), "jpeg"),
        (lambda: cloakbench.attack(PICTURE, "jpeg", suite="minni"), "mini"),
        (lambda: cloakbench.measure(PICTURE, PICTURE, ["lpips"]), "lpips"),
        (lambda: cloakbench.measure(PICTURE, None, ["psnr"]), "psnr"),
        (lambda: cloakbench.measure([PICTURE, PICTURE], PICTURE, ["psnr"]), "one reference per image"),
        (lambda: cloakbench.run("minni"), "mini"),
        (lambda: cloakbench.scores("nowhere"), "nowhere"),
        (lambda: cloakbench.board("nowhere"), "nowhere"),
    ],
)
def test_wrong_names_give_the_message_of_the_command_line(call, word):
    with pytest.raises(cloakbench.UserError, match=word):
        call()
