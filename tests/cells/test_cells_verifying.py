"""What verify computes again and names: values, images, lines and archives that are not what they say."""

from __future__ import annotations

import json
import shutil
import zipfile

import numpy as np
import pytest

from cloakbench import images
from cloakbench.errors import InfrastructureError, UserError
from cloakbench.store.store import Store
from cloakbench.upkeep import archive
from cloakbench.upkeep.merge import merge
from cloakbench.upkeep.verify import verify
from tests.cells.folders import lines, rewrite, spoil

pytestmark = pytest.mark.usefixtures("stand_ins")
"""The weights that the run measured with: a merge compares recipes, which name them."""


def protected_image(store):
    """The first protected image of the good protection, and its record."""
    from cloakbench.store import key as keys

    for path in store.records():
        record = store.read_record(path.parent.name, path.stem)
        if record.protection.name == "good":
            return store.image_path(keys.digest(record.components["protect"]), path.stem, 0), record
    raise AssertionError("expected a record of the good protection")


@pytest.mark.finding("B6")
@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda d: d["quality"].update(psnr=[60.0] * 3), "psnr"),
        (lambda d: d["quality"].update({"mini-lpips": [0.0001] * 3}), "mini-lpips"),
        (lambda d: d["quality"].update(linf=[1.0] * 3), "linf"),
        (lambda d: d["quality"].update(linf=[255.0] * 3), "levels"),
        (lambda d: d["generations"].update({"style-distance": [0.9] * 2}), "style-distance"),
        (lambda d: d["sets"].update(kid=55.0), "kid"),
        (lambda d: d["generations"].update({"style-distance": [-5.0] * 2}), "at least 0"),
        (lambda d: d.update(created="2199-01-01T00:00:00+00:00"), "in the past"),
    ],
)
def test_a_value_that_the_kept_images_do_not_give_is_named(change, word, source, weights, monkeypatch):
    monkeypatch.setenv("CLOAKBENCH_MODELS", str(weights))
    report = verify(source.root, is_deep=True)
    assert report.problems == []
    assert report.recomputed > 20
    spoil(source, change)
    assert any(word in problem for problem in verify(source.root, is_deep=True).problems)


def test_a_sample_is_drawn_with_the_seed(source, weights, monkeypatch):
    monkeypatch.setenv("CLOAKBENCH_MODELS", str(weights))
    monkeypatch.setattr("cloakbench.upkeep.verify.SAMPLE", 2)
    counts = [verify(source.root, seed=seed).recomputed for seed in (1, 1, 2)]
    assert counts[0] == counts[1]
    assert max(counts) < verify(source.root, is_deep=True).recomputed


@pytest.mark.finding("A15", "B6")
def test_images_over_the_budget_are_refused_though_all_digests_fit(source, tmp_path, weights, monkeypatch):
    """What a protection with two faces left behind: the record says `linf`, the images differ by 255 levels."""
    from cloakbench.store import key as keys

    monkeypatch.setenv("CLOAKBENCH_MODELS", str(weights))
    env_class = None
    for path in source.records():
        document = json.loads(path.read_bytes())
        if document["protection"]["name"] != "good":
            continue
        env_class = path.stem
        name = keys.digest(document["components"]["protect"])
        pixels, manifest = source.read_images(name, env_class)
        inverted = []
        for image in pixels:
            inverted.append(255 - image if image.mean() < 999 else image)
        if manifest["digests"] == [images.digest(image) for image in pixels] and "flipped" not in manifest:
            source.write_images(name, env_class, inverted, {"flipped": True})
            flipped = inverted
        document["digests"]["protect"] = [images.digest(image) for image in flipped]
        document["quality"]["linf"] = [8.0] * 3
        path.write_text(json.dumps(document))
    archive.pack("good", None, source.root, tmp_path / "faces.zip")
    shutil.copytree(source.root / "facts", tmp_path / "target" / "facts")
    with pytest.raises(UserError, match="levels"):
        merge([tmp_path / "faces.zip"], Store(tmp_path / "target"))


@pytest.mark.finding("B7", "B9")
def test_damaged_archives_are_refused_in_words(source, tmp_path):
    path = tmp_path / "good.zip"
    archive.pack("good", None, source.root, path)
    with zipfile.ZipFile(path) as opened:
        info = next(i for i in opened.infolist() if i.filename.startswith("facts/"))
        contents = {name: opened.read(name) for name in opened.namelist()}
    start = info.header_offset + 30 + len(info.filename) + 20
    raw = bytearray(path.read_bytes())
    raw[start : start + 40] = bytes(0xFF ^ byte for byte in raw[start : start + 40])
    (tmp_path / "corrupt.zip").write_bytes(raw)
    with zipfile.ZipFile(tmp_path / "lzma.zip", "w", zipfile.ZIP_LZMA) as opened:
        for name, data in contents.items():
            opened.writestr(name, data)
    for name in ("corrupt.zip", "lzma.zip"):
        with pytest.raises(UserError, match=r"expected (an archive|stored or deflated)"):
            archive.unpack(tmp_path / name, tmp_path / f"{name}-out")


@pytest.mark.finding("B8")
def test_images_that_decode_to_too_many_bytes_are_refused_before_they_do(source, monkeypatch):
    path, record = protected_image(source)
    key_of_stage = path.parent.parent.name
    path.write_bytes(images.encode(np.zeros((4096, 2048, 3), np.uint8)))
    with pytest.raises(InfrastructureError, match="damaged"):
        source.read_images(key_of_stage, record.environment.env_class)


@pytest.mark.finding("B9")
@pytest.mark.parametrize(
    ("start", "word"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"\0\0\0\n", "Invalid JSON"),
        (b"[" * 100_000 + b"\n", "recursion"),
        (b'{"key": "\n', "Invalid JSON"),
    ],
)
def test_lines_that_are_no_records_are_named(start, word, reference):
    path = reference / "records.jsonl"
    path.write_bytes(start + path.read_bytes())
    [problem] = [line for line in verify(reference).problems if line.startswith("records.jsonl:1:")]
    assert word in problem


@pytest.mark.finding("B9")
def test_a_byte_order_mark_and_other_line_ends_change_nothing(reference):
    before = verify(reference).records
    for name in ("records.jsonl", "facts.json"):
        path = reference / name
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    report = verify(reference)
    assert (report.records, report.problems) == (before, [])


def test_a_newer_schema_is_not_read_as_this_one(reference):
    documents = lines(reference)
    documents[0]["schema_version"] = 2
    rewrite(reference, documents)
    assert any("schema_version" in problem for problem in verify(reference).problems)
