from __future__ import annotations

import json
from typing import NamedTuple

import pytest
import tiny
import torch
from running import of, record_of, run, told

from cloakbench import Protection
from cloakbench.cells import pipeline
from cloakbench.errors import UserError
from cloakbench.runs import session as sessions
from cloakbench.schemas.kinds import Status

pytestmark = pytest.mark.usefixtures("stand_ins")


class Broken(Protection):
    """Does what the test says."""

    title = "Broken"

    def __init__(self, act):
        self.act = act

    def protect(self, images, request):
        return self.act(images)


def raising(_images):
    raise RuntimeError("the plan is missing")


def out_of_memory(_images):
    raise torch.OutOfMemoryError("CUDA out of memory")


class Fault(NamedTuple):
    act: object
    status: Status
    reason: str


FAULTS = {
    "shape": Fault(lambda x: x[..., :-8], Status.INVALID_OUTPUT, "expected the shape of the images"),
    "nan": Fault(lambda x: x * float("nan"), Status.INVALID_OUTPUT, "expected finite values"),
    "range": Fault(lambda x: x + 1, Status.INVALID_OUTPUT, "expected values in [0, 1]"),
    "budget": Fault(lambda x: (x + 0.2).clamp(0, 1), Status.INVALID_OUTPUT, "within 8 levels"),
    "nothing": Fault(lambda _: None, Status.INVALID_OUTPUT, "expected a torch.Tensor"),
    "raises": Fault(raising, Status.FAILED, "RuntimeError: the plan is missing"),
    "memory": Fault(out_of_memory, Status.OOM, "OutOfMemoryError"),
}


def faulty():
    return [tiny.entry(name, Broken(fault.act)) for name, fault in FAULTS.items()]


def test_every_arm_ends_well_and_is_measured(good_run):
    assert [good_run.finished(c) is not None for c in good_run.cells] == [True] * 9
    for cell in good_run.cells:
        record = good_run.store.read_record(cell.key, good_run.environment.env_class)
        assert (record.status, record.reason, record.traceback) == (Status.OK, "", "")
        assert {name: len(values) for name, values in record.generations.items()} == {
            "style-distance": 2,
            "style-accuracy": 2,
        }
        assert set(record.sets) == {"frechet", "kid"}
        expected = {} if cell.entry.instance is None else {"mini-lpips": 3, "psnr": 3, "linf": 3}
        assert {name: len(values) for name, values in record.quality.items()} == expected
        assert record.components == json.loads(json.dumps(cell.recipes.content()))
        assert set(record.cost) >= {"generate", "measure"}


def test_quality_is_that_of_the_saved_images(good_run):
    assert record_of(good_run, "identity").quality == {"mini-lpips": [0.0] * 3, "psnr": [80.0] * 3, "linf": [0.0] * 3}
    assert record_of(good_run, "placebo").quality["linf"] == [1.0] * 3
    assert record_of(good_run, "random-noise").quality["linf"] == [8.0] * 3
    assert record_of(good_run, "good").quality["linf"] == [8.0] * 3


def test_arms_pair_and_protection_changes_the_result(good_run):
    clean, other = record_of(good_run, "identity"), record_of(good_run, "good")
    assert clean.components["generate"]["seed"] == other.components["generate"]["seed"]
    assert clean.digests["protect"] != other.digests["protect"]
    assert clean.digests["generate"] != other.digests["generate"]


def test_one_protection_is_asked_once_for_all_attacks(good_run):
    first, second = record_of(good_run, "good"), record_of(good_run, "good", "noise")
    assert first.digests["protect"] == second.digests["protect"]
    assert (first.cost["protect"].cached, second.cost["protect"].cached) == (False, True)


def test_kept_images_are_the_generated_ones(good_run):
    cell = of(good_run, "good")
    pixels, facts = good_run.store.read_images(cell.keys["generate"], good_run.environment.env_class)
    assert facts["digests"] == record_of(good_run, "good").digests["generate"]
    assert len(pixels) == 2
    assert len(list((good_run.store.root / "gallery").rglob("*.webp"))) == 9


def test_two_runs_give_the_same_records(good_run, tiny_suite, tmp_path):
    again = tiny.session(tiny_suite, tmp_path / "store", [tiny.entry("good")])
    assert [c.key for c in again.cells] == [c.key for c in good_run.cells]
    run(again)
    assert told(again.store) == told(good_run.store)


def test_a_second_run_runs_nothing(good_run, monkeypatch):
    monkeypatch.setattr(pipeline.Pipeline, "run", lambda *_: pytest.fail("a finished cell ran again"))
    assert good_run.missing() == []
    assert run(good_run) == []
    assert sum(good_run.counts()["good"].values()) == good_run.counts()["good"]["ok"] == 2


def test_a_bad_protection_counts_against_itself_alone(good_run, tiny_suite, tmp_path):
    mixed = tiny.session(tiny_suite, tmp_path / "store", [*faulty(), tiny.entry("good")])
    bad = [record for record in run(mixed) if record.status is not Status.OK]
    assert sessions.failed(mixed.counts()) == len(bad)
    assert {(r.protection.name, r.attack.name): r.status for r in bad} == {
        (name, attack): fault.status for name, fault in FAULTS.items() for attack in ("dreambooth", "noise")
    }
    for record in bad:
        assert FAULTS[record.protection.name].reason in record.reason
        assert record.generations == {}
        assert ("the plan is missing" in record.traceback) == (record.protection.name == "raises")
    others = {key: r for key, r in told(mixed.store).items() if r["protection"]["name"] not in FAULTS}
    assert others == told(good_run.store)
    assert run(mixed) == []  # faults of a submission are kept, not tried again


def test_a_store_in_the_place_of_a_file_is_refused_before_anything_runs(tiny_suite, tmp_path):
    (tmp_path / "store").write_text("")
    session = tiny.session(tiny_suite, tmp_path / "store")
    with pytest.raises(UserError, match="expected a writable store"):
        run(session)


def test_wrong_settings_of_an_attack_are_refused_before_anything_runs(tmp_path):
    path = tmp_path / "wrong.toml"
    for wrong, message in (("sigma = -1.0", "sigma must be above 0"), ("strength = 1", "unexpected keyword")):
        path.write_text(tiny.TEXT.replace("sigma = 0.05", wrong))
        with pytest.raises(UserError, match=f"countermeasure 'noise' does not take .*{message}"):
            tiny.session(path, tmp_path / "store")
