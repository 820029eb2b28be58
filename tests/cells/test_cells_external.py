"""A countermeasure of a package runs beside a suite and changes nothing of it; its damage to clean images is known."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from cloakbench import images
from cloakbench.cells.package_attacks import AttackFault, refuse_copies
from cloakbench.datasets import artists
from cloakbench.errors import UserError
from cloakbench.images import digest
from cloakbench.metrics import quality
from cloakbench.runs import session as sessions
from cloakbench.runs.choice import Choice
from cloakbench.schemas.kinds import Status
from cloakbench.store import key
from cloakbench.store.reading import load
from cloakbench.store.store import Store
from cloakbench.submissions import EntryKind
from cloakbench.upkeep import archive
from cloakbench.upkeep.merge import merge
from cloakbench.upkeep.verify import verify
from cloakbench_leaderboards.scores.evidence import gather
from tests import tiny
from tests.cells.attacks_of_packages import BRIGHTENS, IMITATES, REMEMBERS, install_copier
from tests.running import of, record_of, run
from tests.submissions import hostile


@pytest.fixture(scope="module")
def planned(weights, forks, tmp_path_factory):
    """Plans the tiny suite with the named attacks of packages, which run in forks of a helper."""
    folder = tmp_path_factory.mktemp("external")
    site = folder / "site"
    hostile.install(site, "brightens", BRIGHTENS, "cloakbench.countermeasures")
    hostile.install(site, "imitator", IMITATES, "cloakbench.mimicry")
    hostile.install(site, "remembers", REMEMBERS, "cloakbench.countermeasures")
    artist = artists.mini_artist("vellmar", tiny.suite())
    install_copier(site, "restores", "Countermeasure", "cloakbench.countermeasures", artist.images)
    # One level off, so that no digest gives it away.
    nearly = []
    for pixels in artist.references:
        nearly.append(np.clip(pixels.astype(int) + 1, 0, 255).astype(np.uint8))
    install_copier(site, "copies", "Mimicry", "cloakbench.mimicry", nearly)
    (folder / "tiny.toml").write_text(tiny.TEXT)
    with hostile.installed(folder, weights), forks.workers():

        def plan(*attacks):
            choice = Choice(str(folder / "tiny.toml"), ["placebo"], attacks=attacks)
            return sessions.plan(choice, folder / "store")

        yield plan


@pytest.fixture(scope="module")
def ran(planned):
    session = planned("brightens", "imitator")
    run(session, keep_images=True)
    return session


def brightened(pixels):
    return (pixels.astype(int) + 10).clip(0, 255).astype(np.uint8)


def test_cells_of_the_suite_stay_what_they_are(planned, ran):
    plain = {cell.key for cell in planned().cells}
    with_attack = {cell.key for cell in ran.cells}
    added = [cell for cell in ran.cells if cell.key not in plain]
    assert plain < with_attack
    assert {(cell.attack.name, cell.seed) for cell in added} == {("brightens", 0), ("imitator", 0)}
    assert {cell.entry.facts.name for cell in added} == {"identity", "placebo", "random-noise"}
    assert [attack.name for attack in load(ran.store.root).facts.suite.attacks] == ["dreambooth", "noise"]


def test_the_mimic_learns_from_what_the_package_cleaned(ran):
    cell, record = of(ran, "random-noise", "brightens"), record_of(ran, "random-noise", "brightens")
    protected, _ = ran.store.read_images(cell.keys["protect"], ran.environment.env_class)
    assert record.status is Status.OK
    assert record.digests["countermeasure"] == [digest(brightened(pixels)) for pixels in protected]
    assert record.damage == {}
    package = record.attack.package
    assert (package.spelling, package.title, package.knowledge) == ("brightens", "Brightens", "tool")
    assert cell.recipes.countermeasure.package == package.digest
    assert record.cost["countermeasure"].wall_s > 0


def test_the_clean_arm_says_what_an_attack_does_to_clean_images(ran):
    record, artist = record_of(ran, "identity", "brightens"), of(ran, "identity", "brightens").artist
    expected = quality.measure(["psnr"], [brightened(pixels) for pixels in artist.images], artist.images)
    assert record.damage["psnr"] == pytest.approx(expected["psnr"])
    assert record.quality["psnr"] == [80.0] * 3
    assert np.mean(record_of(ran, "identity", "noise").damage["psnr"]) < 40
    assert record_of(ran, "identity").damage == {}


def test_an_attack_of_the_suite_has_its_name_alone(planned):
    with pytest.raises(UserError, match="noise"):
        planned("noise")
    with pytest.raises(UserError, match="countermeasure"):
        planned("unheard-of")


def test_a_package_imitates_in_place_of_the_suites_mimicry(ran):
    cell, record = of(ran, "random-noise", "imitator"), record_of(ran, "random-noise", "imitator")
    assert record.status is Status.OK, record.reason
    prompts = ran.suite.generated_prompts
    drawn = [np.full((128, 128, 3), len(prompt), np.uint8) for prompt in prompts]
    assert record.digests["generate"] == [digest(pixels) for pixels in drawn]
    assert set(cell.keys) == {"protect", "generate", "measure"}
    assert cell.recipes.generate.package == record.attack.package.digest
    assert (record.attack.package.kind, record.attack.package.knowledge) == ("mimicry", "pairs")
    assert (record.attack.countermeasure, record.attack.mimicry) == (None, "imitator")
    assert len(record.generations["style-distance"]) == len(prompts)
    assert record.cost["generate"].wall_s > 0
    assert verify(ran.store.root, is_deep=True).problems == []


@pytest.mark.finding("D5")
@pytest.mark.parametrize("name", ["restores", "copies"])
def test_an_attack_that_returns_images_it_was_not_given_ends_its_cell(name, planned, tmp_path):
    session = planned(name)
    cells = []
    for cell in session.cells:
        if cell.attack.name == name and cell.entry.facts.name == "random-noise":
            cells.append(cell)
    run(replace(session, cells=cells, store=Store(tmp_path / "store")))
    record = Store(tmp_path / "store").read_record(cells[0].key, session.environment.env_class)
    assert record.status is Status.SKIPPED
    assert "copies of the artist's own" in record.reason
    assert record.generations == {}


@pytest.mark.finding("D17")
def test_an_attack_forgets_what_its_clean_arm_has_shown_it(ran, planned, tmp_path):
    session = planned("remembers")
    cells = {}
    for cell in session.cells:
        if cell.attack.name == "remembers":
            cells[cell.entry.facts.name] = cell
    chosen = [cells["identity"], cells["random-noise"]]
    store = Store(tmp_path / "store")
    run(replace(session, cells=chosen, store=store))
    clean, protected = (store.read_record(cell.key, session.environment.env_class) for cell in chosen)
    assert (clean.status, protected.status) == (Status.OK, Status.OK)
    pixels, _ = store.read_images(chosen[1].keys["protect"], session.environment.env_class)
    expected = [np.minimum(image.astype(int) + 1, 255).astype(np.uint8) for image in pixels]
    assert protected.digests["countermeasure"] == [digest(image) for image in expected]


def test_images_that_were_given_are_no_copies(ran):
    cell = of(ran, "random-noise", "brightens")
    artist, attack = cell.artist, cell.attack
    protected = [pixels // 2 for pixels in artist.images]
    refuse_copies(protected, artist, protected, attack)
    refuse_copies(artist.images, artist, artist.images, attack)
    for hidden in (artist.images[1], artist.references[0]):
        with pytest.raises(AttackFault, match="1 copies of the artist's own"):
            refuse_copies([*protected[:2], hidden], artist, protected, attack)


@pytest.fixture
def target(ran, tmp_path):
    """A store in which the suite has run without the attacks of packages."""
    store = Store(tmp_path / "target")
    shutil.copytree(ran.store.root, store.root)
    stages = set()
    for cell in ran.cells:
        if cell.attack.name in ("brightens", "imitator"):
            stages |= {cell.key, *cell.keys.values()}
    for cell in ran.cells:
        if cell.attack.name not in ("brightens", "imitator"):
            stages -= {cell.key, *cell.keys.values()}
    for name in stages:
        for folder in store.root.glob(f"*/{name[:2]}/{name}"):
            shutil.rmtree(folder)
    return store


def rewritten(path, out, change):
    """Returns an archive whose records, and images by their digests, a dishonest author has changed."""
    with zipfile.ZipFile(path) as opened:
        files = {}
        for name in opened.namelist():
            if name != archive.SUMS:
                files[name] = opened.read(name)
    change(files)
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items())
    with zipfile.ZipFile(out, "w") as opened:
        for name, data in [*files.items(), (archive.SUMS, sums.encode())]:
            opened.writestr(name, data)
    return out


def records_in(files):
    for name in [name for name in files if name.startswith("records/")]:
        yield name, json.loads(files[name])


def with_better_values(files):
    for name, document in records_in(files):
        document["generations"]["style-distance"] = [0.5 for _ in document["generations"]["style-distance"]]
        files[name] = json.dumps(document).encode()


def with_references(files):
    """The generated images are the artist's references, and every value is that of these."""
    pictures = artists.mini_artist("vellmar", tiny.suite()).references
    for name, document in records_in(files):
        pixels = [pictures[n] for n in range(len(document["digests"]["generate"]))]
        document["digests"]["generate"] = [digest(picture) for picture in pixels]
        generate = key.digest(document["components"]["generate"])
        folder = f"images/{generate[:2]}/{generate}/{document['environment']['env_class']}"
        for number, picture in enumerate(pixels):
            files[f"{folder}/{number:03d}.png"] = images.encode(picture)
        files[f"{folder}/manifest.json"] = json.dumps({"digests": document["digests"]["generate"]}).encode()
        files[name] = json.dumps(document).encode()


def without_generations(files):
    for _, document in list(records_in(files)):
        generate = key.digest(document["components"]["generate"])
        for name in [name for name in files if generate in name and name.startswith("images/")]:
            del files[name]


@pytest.mark.parametrize(("name", "kind"), [("brightens", "countermeasure"), ("imitator", "mimicry")])
def test_an_attack_is_submitted_verified_and_merged(name, kind, ran, target, tmp_path, cloakbench, planned):
    out = tmp_path / "attack.zip"
    done = cloakbench("submit", name, "--kind", kind, "--store", ran.store.root, "--out", out, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["records"] == 3
    assert cloakbench("verify", out, "--deep").code == 0
    merged = merge([out], target)
    assert (merged.records, merged.known) == (3, 0)
    arrived = [record for record in load(target.root).records if record.attack.package]
    assert {record.attack.name for record in arrived} == {name}
    for record in arrived:
        assert not target.is_own(record.key, record.environment.env_class)
    evidence = gather(load(target.root))
    assert [record for record in evidence.records if record.attack.package] == []


@pytest.mark.finding("D16")
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (with_better_values, "style-distance"),
        (with_references, "copies of the artist's own"),
        (without_generations, "expected its images of generate"),
    ],
)
def test_a_dishonest_archive_of_an_attack_is_refused(change, words, ran, target, tmp_path, planned):
    archive.pack("imitator", None, ran.store.root, tmp_path / "x.zip", EntryKind.MIMICRY)
    before = sorted(target.files())
    path = rewritten(tmp_path / "x.zip", tmp_path / "y.zip", change)
    with pytest.raises(UserError, match="faults") as caught:
        merge([path], target)
    assert words in caught.value.message
    assert sorted(target.files()) == before


@pytest.mark.finding("D11")
@pytest.mark.parametrize("difference", ["other images", "no record"])
def test_an_attack_on_images_that_this_store_does_not_know_is_refused(difference, ran, target, tmp_path, planned):
    archive.pack("brightens", None, ran.store.root, tmp_path / "x.zip", EntryKind.COUNTERMEASURE)
    for path in list(target.records()):
        document = json.loads(path.read_bytes())
        if document["protection"]["name"] != "placebo":
            continue
        if difference == "no record":
            path.unlink()
        else:
            document["digests"]["protect"] = ["a" * 64] * 3
            path.write_text(json.dumps(document))
    with pytest.raises(UserError, match="images of placebo"):
        merge([tmp_path / "x.zip"], target)


def test_what_is_submitted_as_an_attack_has_run_as_one(ran, tmp_path, cloakbench):
    arguments = ("--store", ran.store.root, "--out", tmp_path / "x.zip")
    for name, kind in (("brightens", "mimicry"), ("placebo", "countermeasure"), ("brightens", "protection")):
        done = cloakbench("submit", name, "--kind", kind, *arguments)
        assert (done.code, kind in done.err) == (2, True)
    assert not (tmp_path / "x.zip").exists()
