from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny
from PIL import Image

from cloakbench.datasets import artists, collection, freeze, manifest, selection
from cloakbench.errors import UserError
from cloakbench.image_files import decode
from cloakbench.images import encode, fit_square
from cloakbench.suites import load as suites
from tests.datasets.paintings import ARTISTS, by_artist, frozen, paintings, suite

HUB = collection.HUB


def by_genre(folder: Path) -> Path:
    """Folders of genres, the artist in the file's name; the same files in another order."""
    for genre in ("Impressionism", "Realism"):
        (folder / genre).mkdir(parents=True)
    for name, start in (("claude-monet", 0), ("paul-cezanne", 100)):
        for n, data in enumerate(reversed(paintings(start))):
            (folder / ("Impressionism" if n % 2 else "Realism") / f"{name}_painting {6 - n}.png").write_bytes(data)
    (folder / "Realism" / "somebody-else_x.png").write_bytes(paintings(500, 1)[0])
    (folder / "Realism" / "claude-monet_notes.md").write_text("not a painting")
    return folder


def rows():
    for name, start in (("paul-cezanne", 100), ("Unknown Artist", 500), ("claude-monet", 0)):
        for n, data in enumerate(paintings(start)):
            path = None if name == "paul-cezanne" else f"painting {n}.png"
            yield {"artist": name, "image": {"bytes": data, "path": path}}


def test_every_layout_and_the_hub_give_the_same_choice(tmp_path):
    chosen = suite(tmp_path)
    sources = [str(by_artist(tmp_path / "a")), str(by_genre(tmp_path / "b")), collection.HUB]
    manifests = []
    for n, s in enumerate(sources):
        manifests.append(freeze.freeze(chosen, s, tmp_path / f"out{n}", rows))
    files = []
    for m in manifests:
        files.append([(i.artist, i.role, i.sha256, i.caption) for i in m.items])
    assert files[0] == files[1]
    assert [f[:3] for f in files[2]] == [f[:3] for f in files[0]]
    assert (tmp_path / "out0" / manifest.FILE).read_bytes() == (tmp_path / "out1" / manifest.FILE).read_bytes()
    assert sorted(p.name for p in tmp_path.glob(".*")) == []
    for round_number in range(3):
        assert len(list((tmp_path / f"out{round_number}").glob("*/*"))) == 10


def test_what_is_frozen_loads_as_artists(tmp_path):
    chosen, made = frozen(tmp_path)
    loaded = artists.load(chosen, tmp_path / "out", 32)
    assert [artist.name for artist in loaded] == ARTISTS
    for artist in loaded:
        assert (len(artist.images), len(artist.captions), len(artist.references)) == (2, 2, 3)
        assert set(artist.captions) == {"a painting in the style of sks"}
        files = []
        for item in made.items:
            if item.artist == artist.name:
                files.append(item.file)
        expected = []
        for file in files:
            expected.append(fit_square(decode((tmp_path / "out" / file).read_bytes()), 32))
        all_images = (*artist.images, *artist.references)
        for a, b in zip(all_images, expected, strict=True):
            assert np.array_equal(a, b)
    assert manifest.check(tmp_path / "out", chosen) == 10


def test_a_suite_may_use_fewer_artists_and_images(tmp_path):
    frozen(tmp_path)
    [loaded] = artists.load(suite(tmp_path, artists=["paul-cezanne"], images_per_artist=1), tmp_path / "out", 32)
    assert (loaded.name, len(loaded.images), len(loaded.references)) == ("paul-cezanne", 1, 3)


@pytest.mark.parametrize("ask", [lambda s, f: artists.load(s, f, 32), lambda s, f: manifest.check(f, s)])
def test_changed_missing_and_foreign_files_are_named(tmp_path, ask):
    chosen, made = frozen(tmp_path)
    path = tmp_path / "out" / made.items[3].file
    data = path.read_bytes()
    Image.fromarray(tiny.picture(9, 50, 50)).save(path)
    with pytest.raises(
        UserError, match=f"the image .*{path.name} changed: expected sha256 {made.items[3].sha256}, got"
    ):
        ask(chosen, tmp_path / "out")
    path.unlink()
    with pytest.raises(UserError, match=f"expected the image .*{path.name}, got none"):
        ask(chosen, tmp_path / "out")
    path.write_bytes(data)
    text = (tmp_path / "out" / manifest.FILE).read_text()
    (tmp_path / "out" / manifest.FILE).write_text(text.replace(made.items[3].file, "../outside.png"))
    with pytest.raises(UserError, match=r"expected a path below .*outside\.png"):
        ask(chosen, tmp_path / "out")


def hide(folder: Path, field: str) -> None:
    """Puts a mark of writing direction into a field of a manifest's first item."""
    document = json.loads((folder / manifest.FILE).read_text())
    document["items"][0][field] += "\u202e"
    (folder / manifest.FILE).write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: shutil.rmtree(folder), r"expected a manifest at .*manifest\.json, got none"),
        (lambda folder: hide(folder, "file"), r"expected a manifest at .*items\.0\.file: .*hidden"),
        (lambda folder: hide(folder, "caption"), r"expected a manifest at .*items\.0\.caption: .*hidden"),
        (lambda folder: (folder / manifest.FILE).write_text("{"), "expected a manifest at .*JSON"),
        (
            lambda folder: (folder / manifest.FILE).write_text('{"selection": "few", "version": 2, "items": []}'),
            "expected images chosen by few 3, got few 2",
        ),
        (
            lambda folder: (folder / manifest.FILE).write_text('{"selection": "few", "version": 3, "items": []}'),
            "expected 2 images of claude-monet to protect, got 0",
        ),
    ],
)
def test_a_wrong_manifest_is_explained(tmp_path, spoil, message):
    chosen, _ = frozen(tmp_path)
    spoil(tmp_path / "out")
    with pytest.raises(UserError, match=message) as caught:
        artists.load(chosen, tmp_path / "out", 32)
    assert "`cloakbench dataset freeze tiny --from" in caught.value.hint


def test_no_folder_is_explained(tmp_path):
    with pytest.raises(UserError, match=r"needs a folder with a manifest\.json, got none"):
        artists.load(suite(tmp_path), None, 32)


def test_what_cannot_be_frozen_is_explained(tmp_path):
    source, out = str(by_artist(tmp_path / "wikiart")), tmp_path / "out"
    cases = [
        (lambda: freeze.freeze(tiny.suite(), source, out), "whose dataset is a manifest, got 'tiny'"),
        (lambda: freeze.freeze(suite(tmp_path, artists=["nobody"]), source, out), "of the selection few, got nobody"),
        (
            lambda: freeze.freeze(suite(tmp_path, selection="nowhere"), source, out),
            r"selection \(.*painting\).*nowhere",
        ),
        (
            lambda: freeze.freeze(suite(tmp_path), "nowhere", out),
            "folder of paintings or huggan/wikiart, got nowhere",
        ),
        (lambda: freeze.freeze(suite(tmp_path), source, tmp_path), "expected an empty or a new folder"),
    ]
    for ask, message in cases:
        with pytest.raises(UserError, match=message):
            ask()
    for path in (tmp_path / "wikiart" / "Claude Monet").glob("* [3456].png"):
        path.unlink()
    with pytest.raises(UserError, match=r"expected 5 images of claude-monet with sides of at least 40 .* got 3 of 3"):
        freeze.freeze(suite(tmp_path), source, out)
    assert not out.exists()


def test_the_hub_needs_a_package_that_may_be_absent(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError, match="expected the package datasets for huggan/wikiart, found none") as caught:
        freeze.freeze(suite(tmp_path), collection.HUB, tmp_path / "out")
    assert "pip install datasets" in caught.value.hint


def test_the_hubs_rows_are_read_undecoded_and_by_name(monkeypatch):
    """A stand-in with the few calls of the package `datasets` that are made."""

    class Stream(list):
        features = {"artist": type("Label", (), {"names": ["claude-monet", "paul-cezanne"]})}  # noqa: RUF012

        def select_columns(self, names):
            assert names == ["image", "artist"]
            return self

        def cast_column(self, name, kind):
            assert (name, kind) == ("image", {"decode": False})
            return self

    stream = Stream([{"artist": 1, "image": {"bytes": b"x", "path": None}}])
    fake = type(sys)("datasets")
    fake.load_dataset = lambda name, split, streaming: stream if (name, split, streaming) == (HUB, "train", True) else 0
    fake.Image = lambda **options: options
    monkeypatch.setitem(sys.modules, "datasets", fake)
    assert list(collection.hub_rows()) == [{"artist": "paul-cezanne", "image": {"bytes": b"x", "path": None}}]


def test_the_painting_suite_and_its_rule_agree():
    suite, rule = suites.load("painting"), selection.load("painting")
    assert set(suite.collected) == rule.artists.keys()
    assert (len(suite.artists), suite.images_per_artist, rule.protect) == (15, 10, 10)
    assert sum("IMPRESS" in who for who in rule.artists.values()) == 8
    for name in suite.artists:
        assert name == collection.slug(name)
    assert (suite.surrogate, suite.budget_255, suite.strengths) == ("sd15", 16, [0.25, 0.5, 1.0])
    assert {(a.name, a.model) for a in suite.attacks if a.model != "sd15"} == {("sd21-transfer", "sd21-base")}


def test_every_value_of_painting_has_a_source():
    """A comment on its line, or above its table, that names a section or says that the project chose."""
    folder = Path(suites.__file__).parent
    for path in (folder / "painting.toml", selection.FOLDER / "painting.toml"):
        for line in path.read_text().splitlines():
            name, _, rest = line.partition(" = ")
            value, _, comment = rest.partition(" # ")
            if value[:1].isdigit() or name in {"surrogate", "class_word", "token", "rank_by", "dtype", "scheduler"}:
                assert "methods" in comment or "project-defined" in comment or name == "version", line


def test_masks_lie_beside_the_chosen_files(tmp_path):
    chosen, made = frozen(tmp_path)
    assert [artist.masks for artist in artists.load(chosen, tmp_path / "out", 32)] == [(), ()]
    shown = []
    for item in made.items:
        if (item.artist, item.role) == ("paul-cezanne", "protect"):
            shown.append(item)
    for n, item in enumerate(shown):
        path = (tmp_path / "out" / item.file).with_suffix(".png")
        height, width = decode(path.read_bytes()).shape[:2]
        masked = np.zeros((height, width), np.uint8)
        masked[height // 2 :, n * 9 :] = 255
        (path.parent / "masks").mkdir(exist_ok=True)
        (path.parent / "masks" / path.name).write_bytes(encode(masked))
    monet, cezanne = artists.load(chosen, tmp_path / "out", 32)
    assert monet.masks == ()
    assert [mask.shape for mask in cezanne.masks] == [(32, 32)] * 2
    assert len(set(cezanne.mask_digests)) == 2


def test_a_frozen_folder_with_equal_pictures_is_refused(tmp_path):
    chosen, made = frozen(tmp_path)
    first, second = (tmp_path / "out" / item.file for item in (made.items[0], made.items[2]))
    second.write_bytes(first.read_bytes())
    text = (tmp_path / "out" / manifest.FILE).read_text().replace(made.items[2].sha256, made.items[0].sha256)
    (tmp_path / "out" / manifest.FILE).write_text(text)
    with pytest.raises(UserError, match="expected different pictures"):
        artists.load(chosen, tmp_path / "out", 32)
