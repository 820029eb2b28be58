"""Packing one protection of a run's store into an archive, and what a merge refuses to take from one."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from pathlib import Path

import pytest

from cloakbench.errors import UserError
from cloakbench.store import key, reading
from cloakbench.store.paths import StorePaths
from cloakbench.store.store import Store
from cloakbench.upkeep import archive as packing
from cloakbench.upkeep.merge import merge
from tests.running import told


@pytest.fixture(scope="module")
def archive(good_run, tmp_path_factory):
    path = tmp_path_factory.mktemp("packed") / "good.zip"
    packing.pack("good", None, good_run.store.root, path)
    return path


@pytest.fixture
def target(good_run, tmp_path):
    """A store of the same suite in which only the controls have run."""
    store = Store(tmp_path / "target")
    shutil.copytree(good_run.store.root / "facts", store.root / "facts")
    for path in good_run.store.records():
        if json.loads(path.read_bytes())["protection"]["name"] != "good":
            copied_file = store.root / path.relative_to(good_run.store.root)
            copied_file.parent.mkdir(parents=True)
            shutil.copy(path, copied_file)
    return store


@pytest.fixture(autouse=True)
def _models(weights, monkeypatch):
    """The embedded weights with which the run measured; a merge computes its values again with them."""
    monkeypatch.setenv("CLOAKBENCH_MODELS", str(weights))


def contents(archive):
    with zipfile.ZipFile(archive) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def packed(path, files, sums=True):
    """An archive of any files; its digests are right unless `sums` says otherwise."""
    if sums:
        lines = []
        for name, data in files.items():
            if name != "SHA256SUMS":
                lines.append(f"{hashlib.sha256(data).hexdigest()}  {name}\n")
        files = {**files, "SHA256SUMS": "".join(lines).encode()}
    with zipfile.ZipFile(path, "w") as opened:
        for name, data in files.items():
            opened.writestr(name, data)
    return path


def first(files, start, end):
    return next(name for name in sorted(files) if name.startswith(start) and name.endswith(end))


def refused(path, target, match):
    before = told(target)
    with pytest.raises(UserError, match=match):
        merge([path], target)
    assert told(target) == before
    assert not (target.root / "images").exists()


def test_an_archive_brings_the_protection_into_another_store(good_run, archive, target, tmp_path):
    names = set(contents(archive))
    assert {name.partition("/")[0] for name in names} == {"SHA256SUMS", "facts", "records", "images"}
    assert {name.rpartition(".")[2] for name in names} == {"SHA256SUMS", "json", "png"}
    done = merge([archive], target)
    assert (done.records, done.known) == (2, 0)
    assert done.files == 4, "three images and their manifest"
    assert told(target) == told(good_run.store)
    packing.pack("good", None, target.root, tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == archive.read_bytes(), "the same records make the same archive"


def test_submit_and_merge_are_commands(good_run, target, tmp_path, cloakbench):
    out = tmp_path / "good.zip"
    done = cloakbench("submit", "good", "--store", good_run.store.root, "--out", out, "--json")
    assert (done.code, json.loads(done.out)["records"], json.loads(done.out)["images"]) == (0, 2, 3)
    assert json.loads(cloakbench("merge", out, "--store", target.root, "--json").out)["records"] == 2
    missing = cloakbench("submit", "god", "--store", good_run.store.root, "--out", out)
    assert missing.code == 2
    assert "It holds: good." in missing.err


def test_a_file_changed_on_its_way_is_refused(archive, target, tmp_path):
    for start, end in (("records/", ".json"), ("images/", ".png")):
        files = contents(archive)
        name = first(files, start, end)
        files[name] = files[name].replace(b"0", b"1", 1) + b" "
        refused(packed(tmp_path / "x.zip", files, sums=False), target, "as SHA256SUMS says, got another file")


def changed(files, change):
    name = first(files, "records/", ".json")
    document = json.loads(files[name])
    change(document)
    return {**files, name: json.dumps(document).encode()}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d["components"]["protect"].update(budget_255=255), "expected the parent 'protect'"),
        (lambda d: d["components"].update(protect=5), "components"),
        (lambda d: d["protection"].update(version="9.9"), "expected the version '1.0', got '9.9'"),
        (lambda d: d.update(strength=0.25), "expected the strength 0.5, got 0.25"),
        (lambda d: d.update(seed=3), "expected the seed of its suite, artist and index"),
        (lambda d: d["environment"].update(threads=64), "expected the environment class"),
        (lambda d: d["generations"].update({"style-distance": [0.9]}), "expected 2 values of the metric"),
        (lambda d: d["digests"].pop("protect"), "expected the digests of 3 protected images, got 0"),
        (
            lambda d: d["digests"].update(protect=["0" * 64] * 3),
            "expected the images of 'protect' that the record names",
        ),
    ],
)
def test_a_tampered_record_is_refused_though_the_digests_were_made_anew(change, words, archive, target, tmp_path):
    refused(packed(tmp_path / "x.zip", changed(contents(archive), change)), target, words)


def rekeyed(files, change):
    """Returns the archive of a dishonest author: recipes changed, all keys and digests made anew."""
    names = {name: name for name in files}
    for name in [name for name in files if name.startswith("records/")]:
        document = json.loads(files.pop(name))
        recipes = document["components"]
        former = key.digest(recipes["protect"])
        change(recipes)
        digests = {}
        for stage in ("protect", "countermeasure", "personalise", "generate", "measure"):
            recipe = recipes.get(stage)
            if recipe is None:
                continue
            for parent in set(recipe.get("parents", {})) & set(digests):
                recipe["parents"][parent] = digests[parent]
            digests[stage] = key.digest(recipe)
        document["key"] = digests["measure"]
        before, after = (f"{name[:2]}/{name}" for name in (former, digests["protect"]))
        names = {old: new.replace(before, after) for old, new in names.items()}
        path = StorePaths(Path()).record_path(document["key"], document["environment"]["env_class"])
        files[path.as_posix()] = json.dumps(document).encode()
    return {names.get(name, name): data for name, data in files.items()}


@pytest.mark.finding("D10")
@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda recipes: recipes["protect"].update(images=["0" * 64] * 3), "as originals"),
        (lambda recipes: recipes["measure"].update(references=["0" * 64] * 2), "as references"),
        (lambda recipes: recipes["measure"]["metrics"].update(psnr=0), "psnr"),
        (lambda recipes: recipes["measure"].update(perceptual="0" * 64), "mini-lpips"),
        (lambda recipes: recipes["personalise"]["parameters"].update(steps=1), "recipe of 'personalise'"),
        (lambda recipes: recipes["personalise"].update(model="0" * 64), "recipe of 'personalise'"),
        (lambda recipes: recipes["generate"]["sampling"].update(steps=1), "recipe of 'generate'"),
        (lambda recipes: recipes["protect"].update(budget_255=255), "recipe of 'protect'"),
    ],
)
def test_what_could_not_be_computed_again_is_refused(change, word, archive, target, tmp_path):
    """Other originals, metrics or attacks than those here: nothing could say whether the values are right."""
    refused(packed(tmp_path / "x.zip", rekeyed(contents(archive), change)), target, word)


@pytest.mark.finding("D10")
def test_an_attack_under_the_name_of_another_is_refused(archive, target, tmp_path):
    """The records of `dreambooth` say that they are of `noise`, and those of `noise` the other way round."""

    def swap(document):
        attack = document["attack"]
        attack["name"] = {"dreambooth": "noise", "noise": "dreambooth"}[attack["name"]]

    files = contents(archive)
    for name in [name for name in files if name.startswith("records/")]:
        document = json.loads(files[name])
        swap(document)
        files[name] = json.dumps(document).encode()
    refused(packed(tmp_path / "x.zip", files), target, "recipe of 'countermeasure'|facts of the attack")


@pytest.mark.finding("D14")
def test_another_version_of_what_ran_here_does_not_replace_it(good_run, archive, tmp_path):
    store = Store(tmp_path / "own")
    shutil.copytree(good_run.store.root, store.root)
    files = contents(archive)
    for name in [name for name in files if name.startswith("records/")]:
        document = json.loads(files[name])
        document["protection"]["package_digest"] = "f" * 64
        files[name] = json.dumps(document).encode()
    newer = rekeyed(files, lambda recipes: recipes["protect"].update(package="f" * 64))
    before = told(store)
    with pytest.raises(UserError, match="which ran here"):
        merge([packed(tmp_path / "x.zip", newer)], store)
    assert told(store) == before


def test_a_tampered_image_is_refused_though_the_digests_were_made_anew(archive, target, tmp_path):
    files = contents(archive)
    two_images, other = [name for name in sorted(files) if name.endswith(".png")][:2]
    refused(packed(tmp_path / "x.zip", {**files, two_images: files[other]}), target, "do not match their digests")


def test_missing_digests_files_and_images_are_refused(archive, target, tmp_path):
    files = contents(archive)
    lines = files["SHA256SUMS"].splitlines(keepends=True)
    short = {**files, "SHA256SUMS": b"".join(lines[1:])}
    refused(packed(tmp_path / "x.zip", short, sums=False), target, "expected a digest of '.*' in SHA256SUMS, got none")
    fewer = {name: data for name, data in files.items() if name != first(files, "images/", ".png")}
    refused(packed(tmp_path / "x.zip", fewer, sums=False), target, "which SHA256SUMS names, got no such file")
    none = {name: data for name, data in files.items() if not name.startswith("images/")}
    refused(packed(tmp_path / "x.zip", none), target, "expected its protected images, got none")
    bare = {name: data for name, data in files.items() if name != "SHA256SUMS"}
    refused(packed(tmp_path / "x.zip", bare, sums=False), target, "expected SHA256SUMS with a line for every file")


@pytest.mark.parametrize(
    "name",
    [
        "../escaped.json",
        "/etc/escaped.json",
        "records/../../escaped.json",
        "records/ab/ab/../../../../escaped.json",
        "images/ab/" + "ab" + "0" * 62 + "/../000.png",
        "images\\..\\escaped.png",
        "records/aa/" + "bb" + "0" * 62 + "/env.json",
        "images/ab/" + "ab" + "0" * 62 + "/env/model.pkl",
        "signatures/x.manifest",
        "facts.json",
    ],
)
def test_path_tricks_and_other_kinds_of_files_are_refused(name, archive, target, tmp_path):
    files = {**contents(archive), name: b"{}"}
    refused(packed(tmp_path / "x.zip", files), target, "expected records, facts and images only")
    assert not list(tmp_path.rglob("escaped*"))


def test_links_doubles_bombs_and_no_archives_are_refused(archive, target, tmp_path, monkeypatch):
    files = contents(archive)
    link = zipfile.ZipInfo(first(files, "images/", ".png"))
    link.external_attr = 0o120777 << 16
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr(link, "/etc/passwd")
    refused(path, target, "expected records, facts and images only")
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("facts/tiny-1.json", "{}")
        with pytest.warns(UserWarning, match="Duplicate"):
            opened.writestr("facts/tiny-1.json", "{}")
    refused(path, target, "expected each file once")
    path.write_bytes(b"no zip")
    refused(path, target, "expected an archive of `cloakbench submit`")
    monkeypatch.setattr(packing, "MOST_BYTES", 1000)
    refused(archive, target, "expected at most 1000 bytes, got")
    monkeypatch.setattr(packing, "MOST_OF_A_FILE", 10)
    refused(archive, target, "expected at most 10 bytes per file, got")


def test_a_foreign_suite_controls_and_images_of_others_are_refused(good_run, archive, target, tmp_path):
    files = contents(archive)
    name = first(files, "facts/", ".json")
    facts = json.loads(files[name])
    facts["suite"]["rank_by"] = "noise"
    path = packed(tmp_path / "x.zip", {**files, name: json.dumps(facts).encode()})
    refused(path, target, "expected the suite 'tiny' version 1 as it is here, got another one")
    control = next(r for r in reading.load(good_run.store.root).records if r.protection.name == "placebo")
    record_file = good_run.store.record_path(control.key, control.environment.env_class)
    more = {**files, record_file.relative_to(good_run.store.root).as_posix(): record_file.read_bytes()}
    refused(packed(path, more), target, "expected the records of one submission, got good .submission., placebo")
    stray = first(files, "images/", "000.png")
    other = "/".join(["images", "ab", "ab" + "0" * 62, *stray.split("/")[3:]])
    refused(packed(path, {**files, other: files[stray]}), target, "expected the images of a record, got others")


def test_facts_that_are_none_are_refused(archive, target, tmp_path):
    files = contents(archive)
    for text in (b"[]", b"{", b"{}"):
        refused(
            packed(tmp_path / "x.zip", {**files, first(files, "facts/", ".json"): text}), target, "holds no suite facts"
        )


def test_controls_are_not_packed(good_run, tmp_path):
    with pytest.raises(UserError, match="expected the records of one submission, got placebo"):
        packing.pack("placebo", None, good_run.store.root, tmp_path / "x.zip")
