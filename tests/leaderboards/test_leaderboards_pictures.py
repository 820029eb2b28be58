"""Pictures of a store on the pages behind numbers."""

from __future__ import annotations

import hashlib
import io

import numpy as np
import pytest
import synthetic
from PIL import EpsImagePlugin, Image
from seen import SeenPage, made
from synthetic import JPEG, PLAIN, record

from cloakbench.store.paths import NOTICE_FILE, StorePaths
from cloakbench.store.reading import export_reference
from cloakbench.store.store import Store
from cloakbench.upkeep.adopt import adopt
from cloakbench.upkeep.for_pages import MOST_OF_A_FILE
from cloakbench_leaderboards.parts import pictures
from cloakbench_leaderboards.site import shipping, site
from cloakbench_leaderboards.site.writing import publish

STAGES = ("protect", "countermeasure", "generate")


def stage(root, key, side, rng, gallery=False):
    paths, where = StorePaths(root), "0123456789ab"
    path = paths.gallery_path(key, where) if gallery else paths.image_path(key, where, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rng.integers(0, 256, (side, side * (4 if gallery else 1), 3), dtype=np.uint8)).save(path)


SAME = {"identity": 0.5, "floor": 0.5, "x": 0.5}


def with_images(root, artists, strengths, side, attack=JPEG, distances=SAME):
    """Records whose stages have pictures of pure noise, the hardest to make small; entries with their distance."""
    rng = np.random.default_rng(0)
    (root / "images").mkdir(parents=True)
    suite = synthetic.suite(artists, (PLAIN, JPEG), strengths)
    records = []
    for artist in artists:
        plan = []
        for entry in distances:
            spec = synthetic.FLOOR if entry == "floor" else attack
            for strength in (None,) if entry in synthetic.ROLES else strengths:
                plan.append((entry, spec, strength))
        for entry, spec, strength in plan:
            keys = {}
            for name in STAGES:
                keys[name] = hashlib.sha256(f"{name} {len(records)}".encode()).hexdigest()
            for name, key in keys.items():
                stage(root, key, side, rng, name == "generate")
            records.append(
                record(entry, artist, distances[entry], spec, strength, components=synthetic.components(keys))
            )
    return synthetic.facts(suite), records


def test_a_page_with_images_stays_under_its_weight(tmp_path):
    facts, records = with_images(tmp_path / "store", [f"artist{n}" for n in range(8)], (0.25, 0.5, 0.75, 1.0), 128)
    files = made(facts, records, tmp_path / "store")
    publish(tmp_path / "site", files.values())
    page = tmp_path / "site/cells/x/jpeg.html"
    seen_page = SeenPage(page.read_text())
    images = set()
    for tag, attrs in seen_page.tags:
        if tag == "img":
            images.add(attrs["src"] or "")
    for tag, attrs in seen_page.tags:
        if tag == "img":
            assert attrs["loading"] == "lazy"
            assert attrs["alt"]
    # per artist original, clean imitation and floor; per cell protected, difference, cleaned and imitation
    assert len(images) == 8 * 3 + 32 * 4
    sizes = [(page.parent / source).stat().st_size for source in images]
    assert sum(sizes) + page.stat().st_size < 1_500_000
    assert sum(sizes) <= pictures.BUDGET
    with Image.open(page.parent / sorted(images)[0]) as image:
        assert image.format == "WEBP"


@pytest.mark.parametrize(("strips", "artists"), [(1, 1), (32, 8), (90, 15), (1200, 200)])
def test_all_pictures_of_a_page_share_its_bytes(strips, artists):
    budget_of_image = pictures.share(strips, artists)
    assert (
        strips * (3 * budget_of_image + pictures.MOSAIC * budget_of_image)
        + artists * (budget_of_image + 2 * pictures.MOSAIC * budget_of_image)
        <= pictures.BUDGET
    )


def test_the_difference_is_magnified_and_grey_where_nothing_changed(tmp_path):
    before, after = np.full((16, 16, 3), 100, np.uint8), np.full((16, 16, 3), 100, np.uint8)
    after[:, 8:] += 8
    for name, pixels in (("a", before), ("b", after)):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    (tmp_path / "d.webp").write_bytes(pictures.difference(tmp_path / "a.png", tmp_path / "b.png", 10_000))
    with Image.open(tmp_path / "d.webp") as image:
        shown = np.asarray(image.convert("RGB"), dtype=int)
    assert abs(shown[4, 2] - 128).max() < 6
    assert abs(shown[4, 13] - (128 + 80)).max() < 6


def test_every_picture_that_was_kept_whole_is_linked(tmp_path):
    facts, records = with_images(tmp_path / "store", ["artist0"], (1.0,), 32)
    [own] = [cell_record for cell_record in records if cell_record.protection.name == "x"]
    keys, paths = own.components["measure"]["parents"], StorePaths(tmp_path / "store")
    folder = paths.images_path(keys["generate"], own.environment.env_class)
    folder.mkdir(parents=True)
    for number in range(8):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(folder / f"{number:03d}.png")
    publish(tmp_path / "site", made(facts, records, tmp_path / "store").values())
    page = tmp_path / "site/cells/x/jpeg.html"
    linked = {link for link in SeenPage(page.read_text()).all("href") if link.endswith(".png")}
    kept = []
    for name in ("protect", "countermeasure"):
        kept.append(paths.image_path(keys[name], own.environment.env_class, 0))
    # The clean arm's image is the original; of the generations those that the mosaic shows.
    [clean] = [cell_record for cell_record in records if cell_record.protection.name == "identity"]
    kept.append(paths.image_path(clean.components["measure"]["parents"]["protect"], clean.environment.env_class, 0))
    kept += [folder / f"{number:03d}.png" for number in (0, 2, 4, 6)]
    contents = {(page.parent / link).read_bytes() for link in linked}
    assert contents == {path.read_bytes() for path in kept}


def huge() -> bytes:
    buffer = io.BytesIO()
    Image.new("1", (4097, 4097)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("data", [b"no image", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n", huge()])
def test_a_damaged_picture_stands_for_itself_alone(tmp_path, data, monkeypatch):
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_: pytest.fail("started a program"))
    facts, records = with_images(tmp_path / "store", ["artist0"], (1.0,), 32)
    [broken, *_] = sorted((tmp_path / "store/images").glob("*/*/*/000.png"))
    broken.write_bytes(data)
    files = made(facts, records, tmp_path / "store")
    publish(tmp_path / "site", files.values())
    for path in (tmp_path / "site/images").rglob("*.webp"):
        with Image.open(path) as image:
            image.load()


@pytest.mark.finding("D25")
@pytest.mark.parametrize("is_folder", [False, True])
def test_a_page_copies_no_file_that_a_link_leads_to(tmp_path, is_folder):
    facts, records = with_images(tmp_path / "store", ["artist0"], (1.0,), 32)
    private = Image.new("RGB", (8, 8), (1, 2, 3))
    (tmp_path / "home").mkdir()
    private.save(tmp_path / "home" / "000.png")
    for path in sorted((tmp_path / "store").glob("images/*/*/*/000.png")):
        path.unlink()
        if is_folder:
            path.parent.rmdir()
            path.parent.symlink_to(tmp_path / "home")
        else:
            path.symlink_to(tmp_path / "home" / "000.png")
    publish(tmp_path / "site", made(facts, records, tmp_path / "store").values())
    assert not list((tmp_path / "site").rglob("*.png"))


@pytest.mark.finding("D25")
def test_a_page_copies_no_file_that_is_no_picture(tmp_path):
    facts, records = with_images(tmp_path / "store", ["artist0"], (1.0,), 32)
    (tmp_path / "private").write_text("PRIVATE")
    for path in sorted((tmp_path / "store").glob("images/*/*/*/000.png")):
        path.unlink()
        path.hardlink_to(tmp_path / "private")
    publish(tmp_path / "site", made(facts, records, tmp_path / "store").values())
    copied = list((tmp_path / "site").rglob("*.png"))
    assert copied
    for path in copied:
        assert path.read_bytes().startswith(b"\x89PNG")


def test_a_reference_folder_ships_small_pictures_and_its_front_page_shows_them(tmp_path):
    artists = [f"artist{n}" for n in range(6)]
    facts, records = with_images(tmp_path / "store", artists, (0.5, 1.0), 128, attack=PLAIN)
    synthetic.save(tmp_path / "store", facts, records)
    (tmp_path / "reference" / "pictures").mkdir(parents=True)
    stale = tmp_path / "reference" / "pictures" / f"{'0' * 32}-0123456789ab-image.webp"
    note = tmp_path / "reference" / "pictures" / "README.md"
    stale.write_bytes(b"old")
    note.write_bytes(b"mine")
    export_reference(tmp_path / "store", None, tmp_path / "reference")
    count = shipping.ship(tmp_path / "store", None, tmp_path / "reference")
    files = sorted((tmp_path / "reference" / "pictures").glob("*.webp"))
    # per artist original and imitation of clean; per artist and entry protected and imitation of protected
    assert count == len(files) == 6 * 2 + 6 * 2
    assert (stale.exists(), note.exists()) == (False, True)
    assert sum(file.stat().st_size for file in files) <= shipping.TOTAL
    built = site.build(tmp_path / "reference", tmp_path / "site", unofficial=True)
    shown = []
    for tag, attrs in SeenPage(built.read_text()).tags:
        if tag == "img":
            shown.append(attrs["src"])
    assert len(shown) == 4
    for source in shown:
        assert (tmp_path / "site" / source).is_file()


def test_a_store_that_adopts_a_reference_folder_shows_its_pictures_and_its_note(tmp_path):
    artists = [f"artist{n}" for n in range(6)]
    facts, records = with_images(tmp_path / "store", artists, (0.5, 1.0), 128, attack=PLAIN)
    synthetic.save(tmp_path / "store", facts, records)
    export_reference(tmp_path / "store", None, tmp_path / "reference")
    count = shipping.ship(tmp_path / "store", None, tmp_path / "reference")
    (tmp_path / "reference" / NOTICE_FILE).write_text("The run is in progress.")
    adopted, fresh = [], Store(tmp_path / "fresh")
    for _ in range(2):
        adopted.append(adopt(tmp_path / "reference", None, fresh))
    assert [(done.pictures, done.left_out) for done in adopted] == [(count, ()), (0, ())]
    page = site.build(fresh.root, tmp_path / "site", unofficial=True).read_text()
    assert "The run is in progress." in page
    assert len([attrs["src"] for tag, attrs in SeenPage(page).tags if tag == "img"]) == 4


def test_pictures_and_a_note_that_are_strange_stay_outside(tmp_path):
    facts, records = with_images(tmp_path / "store", ["artist0"], (1.0,), 16, attack=PLAIN)
    synthetic.save(tmp_path / "store", facts, records)
    reference, private = tmp_path / "reference", tmp_path / "private"
    export_reference(tmp_path / "store", None, reference)
    shipping.ship(tmp_path / "store", None, reference)
    private.write_bytes(b"secret")
    first, second, *others = sorted((reference / "pictures").iterdir())
    first.unlink()
    first.hardlink_to(private)
    second.write_bytes(b"0" * (MOST_OF_A_FILE + 1))
    (reference / "pictures" / f"{'0' * 32}-0123456789ab-image.webp").write_bytes(b"of no record")
    (reference / "pictures" / "more.webp").write_bytes(b"of no record")
    (reference / NOTICE_FILE).hardlink_to(private)
    fresh = Store(tmp_path / "fresh")
    done = adopt(reference, None, fresh)
    assert done.pictures == len(others) == len(fresh.pictures())
    assert "pictures left out: 4" in done.left_out[0]
    assert "notice.txt left out: expected a text of its own" in done.left_out[1]
    assert not fresh.notice.exists()
    (reference / NOTICE_FILE).unlink()
    (reference / NOTICE_FILE).write_text("Superseded.")
    assert "the store holds others" in adopt(reference, None, fresh).left_out[1]
    assert not fresh.notice.exists()


def test_the_first_pictures_are_those_of_the_first_protection_also_after_the_script(browser, tmp_path):
    artists = [f"artist{n}" for n in range(6)]
    distances = {"identity": 0.2, "floor": 1.0, "placebo": 0.21, "alpha": 0.4, "zeta": 0.9}
    facts, records = with_images(tmp_path / "store", artists, (1.0,), 16, PLAIN, distances)
    synthetic.save(tmp_path / "store", facts, records)
    built = site.build(tmp_path / "store", tmp_path / "site", unofficial=True)
    assert "zeta, artist artist0" in built.read_text()
    page = browser.new_page()
    page.goto(built.as_uri())
    assert page.locator("#strip-caption").text_content() == "zeta, artist artist0"
    page.select_option("#strip-choice [name=entry]", "alpha")
    assert page.locator("#strip-caption").text_content() == "alpha, artist artist0"
    page.close()
