from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import tiny

from cloakbench.metrics import catalogue, generations, judge, quality, sets, weights
from cloakbench.metrics.metric import Metric
from cloakbench.runs.rescore import LackedMetric, rescore
from cloakbench.schemas.record import Record
from cloakbench.store.store import Store
from cloakbench.upkeep.merge import merge

pytestmark = pytest.mark.usefixtures("stand_ins")

MORE = tiny.TEXT.replace('sets = ["frechet", "kid"]', 'sets = ["frechet", "kid", "precision"]')
LATER = MORE.replace("version = 1", "version = 2", 1)
KEPT_WHOLE = {
    "protection",
    "strength",
    "artist",
    "attack",
    "seed",
    "salt_digest",
    "status",
    "digests",
    "environment",
    "cost",
}


def records(store):
    return {path: Record.model_validate_json(path.read_bytes()) for path in store.records()}


def by_cell(found):
    return {(r.protection.name, r.attack.name, r.strength, r.seed): r for r in found}


@pytest.fixture
def old(good_run, tmp_path):
    """A copy of a finished run's store without its images of generations: what a user without `--keep images` has."""
    root = tmp_path / "store"
    shutil.copytree(good_run.store.root, root)
    for cell in good_run.cells:
        shutil.rmtree(Store(root).images_path(cell.keys["generate"], good_run.environment.env_class))
    return Store(root)


@pytest.fixture
def whole(good_run, tmp_path):
    """A copy with every image."""
    shutil.copytree(good_run.store.root, tmp_path / "store")
    return Store(tmp_path / "store")


@pytest.fixture
def later(tmp_path):
    """Path of the suite's next version, which asks for one more metric of sets."""
    path = tmp_path / "later.toml"
    path.write_text(LATER)
    return path


@pytest.fixture
def no_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture
def no_attack(monkeypatch):
    """Fails whatever protects, learns or generates."""
    from cloakbench.attacks.mimicry import sampling
    from cloakbench.cells.stages import Stages

    def forbidden(*arguments, **options):
        raise AssertionError("an attack ran")

    for name in ("protect", "clean", "imitate", "edit"):
        monkeypatch.setattr(Stages, name, forbidden)
    monkeypatch.setattr(sampling, "generate", forbidden)


def test_a_new_metric_comes_from_kept_features(old, later, no_attack):
    before = records(old)
    done = rescore(str(later), old.root)
    assert (done.written, done.current, done.other, done.left) == (len(before), 0, 0, [])
    after = records(old)
    assert {path: after[path] for path in before} == before  # nothing else changed
    new = by_cell(record for path, record in after.items() if path not in before)
    for address, record in by_cell(before.values()).items():
        new_record = new[address]
        assert (new_record.suite_version, new_record.key) != (record.suite_version, record.key)
        assert new_record.model_dump(include=KEPT_WHOLE) == record.model_dump(include=KEPT_WHOLE)
        assert (new_record.quality, new_record.generations) == (record.quality, record.generations)
        assert {name: new_record.sets[name] for name in record.sets} == record.sets  # taken over to the last digit
        assert set(new_record.sets) == {"frechet", "kid", "precision"}


def test_the_value_is_that_of_a_run_but_for_half_precision(good_run, old, later):
    rescore(str(later), old.root)
    new = by_cell(r for r in records(old).values() if r.suite_version == 2)
    references = judge.load().features(good_run.cells[0].artist.references).double().numpy()
    for cell in good_run.cells:
        pixels, _ = good_run.store.read_images(cell.keys["generate"], good_run.environment.env_class)
        x = judge.load().features(pixels).double().numpy()
        new_record = new[cell.entry.facts.name, cell.attack.name, cell.strength, cell.seed]
        assert new_record.sets["precision"] == sets.precision(x, references)


def test_a_second_time_nothing_is_left_to_do(old, later):
    first = rescore(str(later), old.root)
    stamps = {path: path.stat().st_mtime_ns for path in old.records()}
    again = rescore(str(later), old.root)
    assert (again.written, again.current) == (0, 2 * first.written)
    assert {path: path.stat().st_mtime_ns for path in old.records()} == stamps
    assert rescore(str(later), old.root) == again


def test_the_new_records_are_cells_of_the_new_suite(old, later, no_attack):
    rescore(str(later), old.root)
    session = tiny.session(later, old.root, [tiny.entry("good")])
    assert session.missing() == []


def test_a_changed_metric_is_computed_again_and_others_are_not(old, tiny_suite, monkeypatch):
    before = by_cell(records(old).values())
    newer = catalogue.find("kid").model_copy(update={"version": 2})
    monkeypatch.setitem(catalogue.BY_NAME, "kid", replace(catalogue.entry("kid"), facts=newer))
    monkeypatch.setattr(generations, "kid", lambda subject: [float(len(subject.generated.features("mini-clip")))])
    done = rescore(str(tiny_suite), old.root)
    assert (done.written, done.left) == (len(before), [])
    new = by_cell(r for r in records(old).values() if r.components["measure"]["metrics"]["kid"] == 2)
    for address, record in before.items():
        assert new[address].sets == {**record.sets, "kid": 2.0}
        assert new[address].generations == record.generations


def test_a_changed_judge_makes_kept_features_worthless(old, later, monkeypatch):
    from cloakbench.metrics import spaces

    monkeypatch.setattr(spaces.Space, "digest", "f" * 64)
    done = rescore(str(later), old.root)
    assert done.written == 0
    [left] = done.left
    assert left.metric == "precision"
    assert "--keep images" in left.reason


def image_metric(monkeypatch):
    """A metric of generations that looks at the images themselves."""
    facts = catalogue.find("niqe").model_copy(update={"name": "mean-level", "weights": ()})
    monkeypatch.setitem(catalogue.BY_NAME, "mean-level", Metric(facts, "generations:mean_level"))

    def mean_level(subject):
        return [float(pixels.mean()) for pixels in subject.generated.images]

    monkeypatch.setattr(generations, "mean_level", mean_level, raising=False)


def with_image_metric(tmp_path):
    path = tmp_path / "images.toml"
    path.write_text(
        tiny.TEXT.replace('generation = ["style-accuracy"]', 'generation = ["style-accuracy", "mean-level"]')
    )
    return path


def test_metrics_of_images_need_kept_images(old, tmp_path, monkeypatch):
    image_metric(monkeypatch)
    before = records(old)
    done = rescore(str(with_image_metric(tmp_path)), old.root)
    reason = "expected the generated images, got none; `cloakbench run --keep images` keeps them."
    assert (done.written, done.left) == (0, [LackedMetric("mean-level", reason, len(before))])
    assert records(old) == before


def test_with_kept_images_they_are_computed(whole, good_run, tmp_path, monkeypatch):
    image_metric(monkeypatch)
    done = rescore(str(with_image_metric(tmp_path)), whole.root)
    assert (done.written, done.left) == (len(good_run.cells), [])
    new = by_cell(r for r in records(whole).values() if "mean-level" in r.generations)
    for cell in good_run.cells:
        pixels, _ = whole.read_images(cell.keys["generate"], good_run.environment.env_class)
        new_record = new[cell.entry.facts.name, cell.attack.name, cell.strength, cell.seed]
        assert new_record.generations["mean-level"] == [float(p.mean()) for p in pixels]


def test_features_that_were_not_kept_come_from_kept_images_and_are_kept(whole, good_run, later):
    shutil.rmtree(whole.root / "features")
    done = rescore(str(later), whole.root)
    assert (done.written, done.left) == (len(good_run.cells), [])
    for cell in good_run.cells:
        assert list(whole.read_features(cell.keys["generate"], good_run.environment.env_class)) == ["mini-clip"]


def test_damaged_features_count_as_absent(old, good_run, later):
    cell = good_run.cells[0]
    old.features_path(cell.keys["generate"], good_run.environment.env_class).write_bytes(b"no features")
    done = rescore(str(later), old.root)
    assert done.written == len(good_run.cells) - 1
    assert [(lacked.metric, lacked.records) for lacked in done.left] == [("precision", 1)]


@pytest.mark.finding("B5", "B6")
def test_what_was_merged_gives_no_values_to_ones_own_records(old, good_run, later):
    shutil.rmtree(old.root / "features")
    merge([good_run.store.root], old)
    done = rescore(str(later), old.root)
    assert done.written == 0
    assert [(line.metric, line.records) for line in done.left] == [("precision", len(good_run.cells))]


def test_a_new_metric_of_quality_comes_from_the_protected_images(old, good_run, tmp_path):
    path = tmp_path / "quality.toml"
    path.write_text(tiny.TEXT.replace('"psnr", "linf"', '"psnr", "linf", "l2"'))
    done = rescore(str(path), old.root)
    assert done.left == []
    new = by_cell(r for r in records(old).values() if "l2" in r.components["measure"]["metrics"])
    for cell in good_run.cells:
        new_record = new[cell.entry.facts.name, cell.attack.name, cell.strength, cell.seed]
        if "protect" not in cell.keys:
            assert new_record.quality == {}
            continue
        protected, _ = old.read_images(cell.keys["protect"], good_run.environment.env_class)
        assert new_record.quality["l2"] == quality.measure(["l2"], protected, cell.artist.images)["l2"]
        assert np.isfinite(new_record.quality["psnr"]).all()


def test_records_of_another_protocol_are_left_alone(old, good_run, tmp_path):
    path = tmp_path / "other.toml"
    path.write_text(MORE.replace("steps = 2\nguidance = 3.0", "steps = 3\nguidance = 3.0"))
    done = rescore(str(path), old.root)
    assert (done.written, done.current, done.other, done.left) == (0, 0, len(good_run.cells), [])


@pytest.mark.finding("B9")
def test_a_damaged_record_is_counted_and_left(old, good_run, later):
    path = next(old.records())
    path.write_bytes(b"{}")
    done = rescore(str(later), old.root)
    assert (done.damaged, done.written) == (1, len(good_run.cells) - 1)
    assert path.read_bytes() == b"{}"


def test_missing_weights_skip_a_metric_until_they_are_here(old, good_run, tmp_path, no_weights, monkeypatch):
    path = tmp_path / "fid.toml"
    path.write_text(tiny.TEXT.replace('sets = ["frechet", "kid"]', 'sets = ["frechet", "fid", "kid-inception"]'))
    done = rescore(str(path), old.root)
    reason = weights.missing("fid")
    assert done.written == len(good_run.cells)
    assert done.left == [LackedMetric(name, reason, len(good_run.cells)) for name in ("fid", "kid-inception")]
    new = [r for r in records(old).values() if "fid" in r.components["measure"]["metrics"]]
    for r in new:
        assert r.skipped == {"fid": reason, "kid-inception": reason}
    monkeypatch.setattr(weights, "obtain", lambda metric: "")
    for name in ("fid", "kid_inception"):
        monkeypatch.setattr(generations, name, lambda subject: [7.0])
    assert rescore(str(path), old.root).written == len(good_run.cells)
    filled = [r for r in records(old).values() if "fid" in r.components["measure"]["metrics"]]
    assert {r.key for r in filled} == {r.key for r in new}
    for r in filled:
        assert (r.sets["fid"], r.skipped) == (7.0, {})


def test_the_verb_says_what_it_did_and_could_not(old, later, cloakbench, tmp_path, monkeypatch):
    result = cloakbench("rescore", later, "--store", old.root, "--json")
    parsed = json.loads(result.out)
    assert (result.code, parsed["left"], parsed["current"]) == (0, [], 0)
    assert parsed["written"] == len(list(old.records())) / 2
    image_metric(monkeypatch)
    result = cloakbench("rescore", with_image_metric(tmp_path), "--store", old.root)
    assert result.code == 2
    assert "mean-level  expected the generated images, got none" in result.out
    assert cloakbench("rescore", "nosuch", "--store", old.root).code == 2
